"""Hints at typing errors in e-mail addresses."""

from __future__ import annotations

import pytest

from shop.core import email_typos


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ann@gmial.con", "ann@gmail.com"),
        ("ann@gmail.co", "ann@gmail.com"),
        ("ann@gamil.com", "ann@gmail.com"),
        ("Ann.B@HOTMIAL.COM", "Ann.B@hotmail.com"),
        ("ann@yahoo.com.tv", "ann@yahoo.com.tw"),
        ("ann@yahoo.co.jo", "ann@yahoo.co.jp"),
        ("ann@docomo.ne.p", "ann@docomo.ne.jp"),
        ("ann@qq.con", "ann@qq.com"),
        ("ann@163.cmo", "ann@163.com"),
        ("ann@gmail.com", None),
        ("ann@mail.com", None),
        ("ann@ymail.com", None),
        ("ann@example.com", None),
        ("ann@company.com.tw", None),
        ("ann@ab.com", None),
        ("ann@gmail", None),
        ("@gmial.com", None),
        ("gmial.com", None),
        ("", None),
        ("ann@<b>gmial.com", None),
    ],
)
def test_a_near_miss_of_a_frequent_domain_is_recognised(typed: str, meant: str | None) -> None:
    assert email_typos.suggestion(typed) == meant


def test_none_of_the_frequent_domains_is_taken_for_another() -> None:
    assert all(email_typos.suggestion(f"ann@{domain}") is None for domain in email_typos.FREQUENT)


def test_two_swapped_letters_are_one_error() -> None:
    assert email_typos.distance("gmial", "gmail") == 1
    assert email_typos.distance("", "abc") == 3
