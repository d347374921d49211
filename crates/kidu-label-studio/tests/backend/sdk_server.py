"""The server of Label Studio's own SDK (label-studio-ml) with a model that knows one answer.

Prints its version and its port, then serves until it is killed. Its models lie in the folder that it is given.
"""

import os
import sys
from importlib.metadata import version

os.environ["MODEL_DIR"] = sys.argv[1]
# Without this the first generation asks Redis for everything.
os.environ["LABEL_STUDIO_ML_BACKEND_V2"] = "1"

from label_studio_ml.api import init_app  # noqa: E402
from label_studio_ml.model import LabelStudioMLBase  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402


class Sea(LabelStudioMLBase):
    """Everything is the sea."""

    def predict(self, tasks, *_, **__):
        value = {"choices": ["sea"]}
        item = {"from_name": "choice", "to_name": "image", "type": "choices", "value": value}
        return [{"result": [item], "score": 0.9, "model_version": "0.0.1"} for _ in tasks]

    def fit(self, *_, **__):
        return {}


generation = version("label-studio-ml").split(".")[0]
app = init_app(Sea, model_dir=sys.argv[1]) if generation == "1" else init_app(Sea)
server = make_server("127.0.0.1", 0, app, threaded=True)
print(generation, server.socket.getsockname()[1], flush=True)
server.serve_forever()
