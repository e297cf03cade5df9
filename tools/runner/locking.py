"""Generate constraints.txt and requirements.txt: the exact versions of all libraries, and the hashes of all their
files.

.venv/bin/pip install pip-tools
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
QUIET = ["-q", "--no-header", "--no-annotate", "--no-emit-options"]
NO_INDEX = ["--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host"]
EXTRAS = {"shop": (), "demo": ("demo",), "test": ("demo", "test")}
ELSEWHERE = {"async-timeout": "python_full_version < '3.11.3'"}
"""Requirements of libraries on other Pythons or platforms than the one on which this runs (here redis-py, on Debian
12).
A test finds missing ones.
"""
LOCKED = """\
# The exact versions that everything was tested with, and the SHA-256 of each of their files, for all platforms.
# bin/run and bin/test install from here. Written by tools/runner/locking.py from pyproject.toml; not to be edited.
"""
DEPLOYED = """\
# What is installed where the shop is deployed (Heroku, the image): the block "shop" of constraints.txt. The shop
# itself runs from its folder. Written by tools/runner/locking.py; not to be edited.
"""


def main() -> None:
    compiler = shutil.which("pip-compile", path=str(VENV_BIN))
    if compiler is None:
        raise Trouble("This needs pip-tools:  .venv/bin/pip install pip-tools")
    kept = [] if "--upgrade" in sys.argv[1:] else _pins(CONSTRAINTS.read_text())
    step = Step("resolve everything")
    everything = _compiled(compiler, BLOCKS[-1], kept, "--generate-hashes")
    step.done(f"{len(everything)} libraries")
    pins, placed, texts = _pins("".join(everything.values())), set[str](), []
    for name in BLOCKS:
        step = Step(f"resolve {name}")
        wanted = set(everything if name == BLOCKS[-1] else _compiled(compiler, name, pins)) - placed
        texts.append(f"\n# --- {name}\n" + "".join(everything[one] for one in everything if one in wanted))
        placed |= wanted
        step.done(f"{len(wanted)} more")
    CONSTRAINTS.write_text(LOCKED + "".join(texts))
    REQUIREMENTS.write_text(DEPLOYED + blocks(CONSTRAINTS.read_text())["shop"].rstrip() + "\n")


def _compiled(compiler: str, block: str, pins: list[str], *options: str) -> dict[str, str]:
    """The libraries of a block by name, each as its lines, in the versions of `pins`. Raises Trouble."""
    with tempfile.TemporaryDirectory() as folder:
        output, pinned, others = (Path(folder) / name for name in ("locked.txt", "pins.txt", "others.in"))
        pinned.write_text("\n".join(pins))
        others.write_text("\n".join(ELSEWHERE))
        command = [compiler, *QUIET, *NO_INDEX, *options, "--strip-extras", "--allow-unsafe", "-c", str(pinned)]
        command += [f"--extra={extra}" for extra in EXTRAS[block]] + ["-o", str(output), str(PYPROJECT), str(others)]
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise Trouble(f"The libraries could not be resolved:\n{done.stderr[-2000:]}")
        entries = re.findall(r"^\S+==.*(?:\n    .*)*", output.read_text(), re.MULTILINE)
    return {entry.split("==")[0]: _marked(entry) + "\n" for entry in entries}


def _marked(entry: str) -> str:
    """The lines of a library, with its Python version marker if it has one."""
    name = entry.split("==")[0]
    found = re.search(rf'"{re.escape(name)}\W[^"]*;\s*([^"]+)"', PYPROJECT.read_text(), re.IGNORECASE)
    marker = found[1] if found else ELSEWHERE.get(name)
    return re.sub(r"^(\S+)", rf"\1 ; {marker}", entry, count=1) if marker else entry


def _pins(text: str) -> list[str]:
    return re.findall(r"^([A-Za-z0-9_.-]+==[^\s;\\]+)", text, re.MULTILINE)


if __name__ == "__main__":
    with say.complaining():
        main()
