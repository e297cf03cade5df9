"""`python -m tools.translations` updates and compiles the catalogues; `--check` only lists what is missing (exit 1)."""

from __future__ import annotations

import sys

from tools.translations import catalogues


def main() -> int:
    both = [(program, locale) for program in catalogues.PROGRAMS for locale in catalogues.with_catalogue()]
    if "--check" not in sys.argv[1:]:
        for program, locale in both:
            program.write(locale)
    missing = [problem for program, locale in both for problem in program.incomplete(locale)]
    sys.stdout.writelines(f"{problem}\n" for problem in missing)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
