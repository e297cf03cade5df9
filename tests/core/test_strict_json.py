"""Parsing of untrusted JSON: accepted values, and ValueError for everything else."""

from __future__ import annotations

import json
import random

import pytest

from shop.core import strict_json

DEEP = strict_json.DEEPEST


def test_what_acquirers_send_is_read_as_json_reads_it() -> None:
    value = {"id": "1", "amounts": [1, -5, 2**63, 1.5], "name": "小籠包 ☃", "none": None, "no": False}
    assert strict_json.loads(json.dumps(value).encode()) == value
    assert strict_json.loads("\ufeff[1]".encode()) == [1]


def test_lone_surrogates_are_replaced_so_that_every_text_can_be_encoded() -> None:
    found = strict_json.loads(r'{"\ud800": ["\uDFFF", {"a": "x\udc00y"}], "pair": "\ud83d\ude00", "text": "\\ud800"}')
    assert found == {"\ufffd": ["\ufffd", {"a": "x\ufffdy"}], "pair": "\U0001f600", "text": "\\ud800"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "NaN",
        "[-Infinity]",
        '{"amount": 1e999}',
        '{"amount": ' + "9" * 20 + "}",
        '{"amount": ' + "9" * 5000 + "}",
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 50_000 + "1" + "}" * 50_000,
        "[" * (DEEP + 1) + "]" * (DEEP + 1),
    ],
    ids=lambda text: text[:20],
)
def test_json_that_is_too_deep_or_cannot_be_written_again_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its promise
        strict_json.loads(text.encode())


def test_values_as_deep_as_allowed_are_read() -> None:
    text = "[" * DEEP + "]" * DEEP
    assert json.dumps(strict_json.loads(text.encode())) == text
    assert strict_json.loads(json.dumps([[[]]] * 1000)) == [[[]]] * 1000, "many brackets are not deep"


def test_any_bytes_are_read_or_refused_and_nothing_else_happens() -> None:
    chance = random.Random(7)  # noqa: S311 - nothing secret
    good = json.dumps({"a": [1, {"b": "c\ud800"}], "d": 1.5}).encode()
    for _ in range(3000):
        raw = bytearray(good)
        for _ in range(chance.randint(1, 6)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        try:
            strict_json.loads(bytes(raw))
        except ValueError:
            continue
