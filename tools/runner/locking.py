"""Generate constraints.txt and requirements.txt: the exact versions of all libraries, and the hashes of all their
files, for all platforms.

.venv/bin/pip install uv
.venv/bin/python tools/runner/locking.py              after a change of pyproject.toml; existing pins stay
.venv/bin/python tools/runner/locking.py --upgrade    the newest version of everything

Each block of constraints.txt adds what the one before it lacks, so that the blocks from the top on are complete.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import say
from installing import BLOCKS, blocks
from places import CONSTRAINTS, PYPROJECT, ROOT, VENV_BIN
from say import Step, Trouble

REQUIREMENTS = ROOT / "requirements.txt"
OLDEST_PYTHON = "3.11"
OPTIONS = ["--universal", f"--python-version={OLDEST_PYTHON}", "--generate-hashes", "--no-annotate", "--no-header"]
EXTRAS = {"shop": (), "demo": ("demo",), "test": ("demo", "test")}
LOCKED = """\
# The exact versions that everything was tested with, and the SHA-256 of each of their files, for all platforms.
# bin/run and bin/test install from here. Written by tools/runner/locking.py from pyproject.toml; not to be edited.
"""
DEPLOYED = """\
# What is installed where the shop is deployed (Heroku, the image): the block "shop" of constraints.txt. The shop
# itself runs from its folder. Written by tools/runner/locking.py; not to be edited.
"""


def main() -> None:
    uv = shutil.which("uv", path=str(VENV_BIN))
    if uv is None:
        raise Trouble("This needs uv:  .venv/bin/pip install uv")
    kept = [] if "--upgrade" in sys.argv[1:] else _pins(CONSTRAINTS.read_text())
    placed, texts = set[str](), []
    step = Step("resolve everything")
    everything = _resolved(uv, BLOCKS[-1], kept)
    step.done(f"{len(everything)} libraries")
    for name in BLOCKS:
        wanted = set(_resolved(uv, name, _pins("".join(everything.values())))) - placed
        texts.append(f"\n# --- {name}\n" + "".join(everything[one] for one in everything if one in wanted))
        placed |= wanted
    CONSTRAINTS.write_text(LOCKED + "".join(texts))
    REQUIREMENTS.write_text(DEPLOYED + blocks(CONSTRAINTS.read_text())["shop"].rstrip() + "\n")


def _resolved(uv: str, block: str, pins: list[str]) -> dict[str, str]:
    """The libraries of a block by name, each as its lines, in the versions of `pins`. Raises Trouble."""
    with tempfile.TemporaryDirectory() as folder:
        output, pinned = Path(folder) / "locked.txt", Path(folder) / "pins.txt"
        pinned.write_text("\n".join(pins))
        extras = [f"--extra={extra}" for extra in EXTRAS[block]]
        command = [uv, "pip", "compile", "-q", *OPTIONS, *extras, "-c", str(pinned), "-o", str(output), str(PYPROJECT)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise Trouble(f"The libraries could not be resolved:\n{done.stderr[-2000:]}")
        entries = re.findall(r"^\S+==.*(?:\n    .*)*", output.read_text(), re.MULTILINE)
    return {entry.split("==")[0]: entry + "\n" for entry in entries}


def _pins(text: str) -> list[str]:
    return re.findall(r"^([A-Za-z0-9_.-]+==[^\s;\\]+)", text, re.MULTILINE)


if __name__ == "__main__":
    with say.complaining():
        main()
