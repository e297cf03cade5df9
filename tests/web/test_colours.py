"""Colours of the style sheet that have to differ: the focus ring is not taken for an error."""

from __future__ import annotations

import re

import pytest

from tools.docs.code import ROOT

CSS = (ROOT / "static" / "css" / "settled.css").read_text()


def colour(name: str, scheme: int) -> tuple[int, int, int]:
    """Red, green and blue of a token in the light (0) or dark (1) scheme."""
    found = re.search(rf"--{name}: light-dark\(#(\w+), #(\w+)\)", CSS)
    assert found
    digits = found[scheme + 1]
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    red, green, blue = (int(digits[n : n + 2], 16) for n in (0, 2, 4))
    return red, green, blue


def luminance(of: tuple[int, int, int]) -> float:
    parts = [part / 255 for part in of]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_the_focus_ring_is_far_from_the_colour_of_errors_and_stands_out_from_every_background(scheme: int) -> None:
    ring = colour("focus", scheme)
    assert sum(abs(one - other) for one, other in zip(ring, colour("bad", scheme), strict=True)) > 60
    for background in ("page", "surface", "sunk", "bad-wall", "wait-wall", "good-wall", "wall"):
        light, dark = sorted((luminance(ring), luminance(colour(background, scheme))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, background
