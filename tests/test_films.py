"""Films of the demo: pictures of two pages that are joined into one, and their size."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.parts.processes import ROOT
from tools.films import recording
from tools.films.recording import Change, joined, save

FILMS = sorted((ROOT / "docs" / "films").glob("*.webp"))


def page(colour: str) -> Image.Image:
    return Image.new("RGB", (recording.WIDTH, recording.HEIGHT), colour)


def test_a_film_begins_with_both_pages_and_shows_each_change_for_as_long_as_it_lasted() -> None:
    changes = [
        Change(1.0, 0, page("white")),
        Change(2.0, 1, page("white")),
        Change(3.5, None, caption="The customer pays."),
        Change(3.52, 1, page("red")),
        Change(5.0, 0, page("green")),
    ]
    frames = joined(changes, 9.0)
    assert [round(seconds, 2) for _, seconds in frames] == [1.5, 1.5, 4.0], "two changes at once are one picture"
    first, paying, last = (picture for picture, _ in frames)
    right = (first.width - 60, first.height // 2)
    assert first.getpixel(right) == (255, 255, 255) and paying.getpixel(right) == last.getpixel(right) == (255, 0, 0)
    assert last.getpixel((60, last.height // 2)) == (0, 128, 0)


def test_a_film_is_an_animation_that_repeats_and_a_large_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [(page("white"), 1.0), (page("red"), 2.5)]
    save(frames, tmp_path / "film.webp")
    with Image.open(tmp_path / "film.webp") as film:
        assert (film.n_frames, film.info["loop"]) == (2, 0)  # type: ignore[attr-defined]
    monkeypatch.setattr(recording, "LARGEST", 10)
    with pytest.raises(ValueError, match=r"film\.webp has"):
        save(frames, tmp_path / "film.webp")


@pytest.mark.parametrize("path", FILMS, ids=lambda path: path.stem)
def test_the_films_of_the_documents_are_small(path: Path) -> None:
    assert path.stat().st_size <= recording.LARGEST
