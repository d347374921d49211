"""Converts a JSON export of Label Studio to its other formats with Label Studio's own converter.

Usage: label_studio_exports.py EXPORT.json OUT; writes OUT/FORMAT/result.*
"""

import sys
from pathlib import Path

from label_studio_sdk.converter import Converter

CONFIG = """<View><Image name="image" value="$image"/><Choices name="choice" toName="image">
<Choice value="sea"/><Choice value="ice"/><Choice value="rock, &quot;grey&quot;"/></Choices></View>"""

source, out = Path(sys.argv[1]), Path(sys.argv[2])
converter = Converter(CONFIG, project_dir=None, download_resources=False)
for name in ["JSON", "JSON_MIN", "CSV", "TSV"]:
    folder = out / name
    folder.mkdir(parents=True)
    converter.convert(str(source), str(folder), name, is_dir=False)
    print(name, sorted(p.name for p in folder.iterdir()))
