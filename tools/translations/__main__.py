"""`python -m tools.translations` updates and compiles the catalogues; `--check` only lists what is missing (exit 1)."""

from __future__ import annotations

import sys

from tools.translations import catalogues


def main() -> int:
    if "--check" not in sys.argv[1:]:
        for locale in catalogues.with_catalogue():
            catalogue = catalogues.updated(locale)
            catalogues.po(locale).parent.mkdir(parents=True, exist_ok=True)
            catalogues.po(locale).write_bytes(catalogues.po_text(catalogue))
            catalogues.mo(locale).write_bytes(catalogues.mo_bytes(catalogues.read(locale)))
    missing = [problem for locale in catalogues.with_catalogue() for problem in catalogues.incomplete(locale)]
    sys.stdout.writelines(f"{problem}\n" for problem in missing)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
