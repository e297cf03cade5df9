"""`python -m tools.docs` writes the generated pages; `--check` only lists those that are out of date (exit 1)."""

from __future__ import annotations

import sys

from tools.docs.code import ROOT
from tools.docs.pages import PAGES


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = []
    for name, make in PAGES.items():
        path, text = ROOT / name, make()
        if path.is_file() and path.read_text() == text:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    verb = "is out of date" if check else "written"
    sys.stdout.writelines(f"{name} {verb}\n" for name in stale)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
