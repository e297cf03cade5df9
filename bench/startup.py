"""Time from `git clone` to a responding shop, and time of a second start."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from bench.tools import note, table
from tests.parts.processes import ROOT, free_port

COLD, WARM = 90.0, 5.0  # seconds
READY = re.compile(r"Settled is ready after ([0-9.]+) s")


def start(folder: Path, environ: dict[str, str]) -> float:
    """Run bin/run until shop and acquirer respond, then end it with Ctrl-C. Returns the seconds until then."""
    began = time.monotonic()
    process = subprocess.Popen(
        [folder / "bin" / "run"], cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if READY.search(line):
            break
    else:
        raise SystemExit("".join(lines))
    with urllib.request.urlopen(f"http://localhost:{environ['PORT']}/", timeout=10) as page:
        assert b"In stock" in page.read()
    seconds = time.monotonic() - began
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    process.wait(30)
    return seconds


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="settled-bench-") as name:
        folder = Path(name) / "settled"
        kept = ("PATH", "HOME", "LANG", "TMPDIR", "PIP_INDEX_URL", "PIP_FIND_LINKS", "SSL_CERT_FILE", "PIP_CERT")
        environ = {key: os.environ[key] for key in kept if key in os.environ}
        environ |= {"PORT": str(free_port()), "ACQUIRER_PORT": str(free_port()), "PIP_NO_CACHE_DIR": "1"}
        began = time.monotonic()
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        cloning = time.monotonic() - began
        note("cold start")
        cold = start(folder, environ)
        note("warm starts")
        warm = sorted(start(folder, environ) for _ in range(3))
    rows: list[tuple[object, ...]] = [("", "seconds", "goal", "ratio")]
    rows += [("git clone", cloning, "", ""), ("cold: install, migrate, seed, start", cold, COLD, cold / COLD)]
    rows += [("warm, median of three", warm[1], WARM, warm[1] / WARM)]
    table("From nothing to a usable shop", rows)
    return int(cold > COLD or warm[1] > WARM)


if __name__ == "__main__":
    sys.exit(main())
