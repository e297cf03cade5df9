"""Record the films of the named stories, by default of all."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from e2e.control import Control
from e2e.demo import Demo
from tools.docs.code import ROOT
from tools.films.recording import Film, save
from tools.films.stories import STORIES

_FOLDER = ROOT / "docs" / "films"


def main() -> None:
    """Start a demo of its own, and write a film for each story. Raises ValueError for a film that is too large."""
    parser = argparse.ArgumentParser("python -m tools.films", description=__doc__)
    parser.add_argument("stories", nargs="*", choices=[[], *STORIES], metavar="story", help=", ".join(STORIES))
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where the films are written")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="films-") as folder, sync_playwright() as playwright:
        demo = Demo(Path(folder))
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM") or None, args=arguments)
        try:
            demo.start()
            for name in options.stories or STORIES:
                film = Film(browser, demo, Control(demo))
                STORIES[name](film)
                path = options.folder / f"{name}.webp"
                save(film.frames(), path)
                film.close()
                print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", flush=True)
        finally:
            browser.close()
            demo.close()


if __name__ == "__main__":
    main()
