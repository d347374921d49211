"""The `kidu` command for the notebooks: found, run in a temporary folder, and its answers read."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def _find():
    """KIDU_BIN, then PATH, then what cargo built beside this folder."""
    named = os.environ.get("KIDU_BIN")
    if named:
        if not Path(named).is_file():
            raise FileNotFoundError("KIDU_BIN names no file")
        return str(Path(named).resolve())
    built = [HERE.parent / "target" / profile / "kidu" for profile in ("release", "debug")]
    found = shutil.which("kidu") or next((str(path) for path in built if path.is_file()), None)
    if found is None:
        raise FileNotFoundError("no kidu: set KIDU_BIN, or build it with `cargo build --release -p kidu`")
    return found


_COMMAND = _find()


def work_folder():
    """Makes a temporary folder and goes there, so that all paths below are relative to it."""
    os.chdir(tempfile.mkdtemp(prefix="kidu-notebook-"))


def _run(arguments, code):
    # What belongs to a caller's project must not reach into the lesson.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("KIDU_")}
    environment["KIDU_CACHE"] = str(Path("cache").resolve())
    ended = subprocess.run([_COMMAND, *map(str, arguments)], capture_output=True, text=True, env=environment)
    if ended.returncode != code:
        raise RuntimeError(f"kidu {' '.join(map(str, arguments))}: exit code {ended.returncode}\n{ended.stderr}")
    return ended


def _relative(text):
    """Without the folder, whose name is another one every time."""
    return text.strip().replace(f"{os.getcwd()}/", "")


def kidu(*arguments, code=0):
    """Runs `kidu` and shows what it answers. Progress, on standard error, is not shown; another exit code is an error."""
    print(_relative(_run(arguments, code).stdout))


def told(*arguments, code=0):
    """Runs `kidu` and shows what it says on the way, in place of its answer."""
    print(_relative(_run(arguments, code).stderr))


def kidu_json(*arguments, code=0):
    """Runs `kidu ... --json` and returns the answer."""
    return json.loads(_run([*arguments, "--json"], code).stdout)


def read_json(path):
    """A JSON file."""
    return json.loads(Path(path).read_text())
