"""Compressed pages."""

from __future__ import annotations

import gzip

import pytest

from tests.web.conftest import Visitor

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.parametrize("path", ["/", "/products/kettle", "/cart", "/nothing/here"])
def test_a_page_is_compressed_for_browsers_that_take_it(visitor: Visitor, path: str) -> None:
    plain = visitor.get(path)
    assert "Content-Encoding" not in plain.headers and "Accept-Encoding" in plain.vary
    small = visitor.client.get(path, headers={"Accept-Encoding": "gzip, deflate, br"})
    assert small.headers["Content-Encoding"] == "gzip" and "Accept-Encoding" in small.vary
    assert int(small.headers["Content-Length"]) == len(small.data) < len(plain.data) / 2
    assert gzip.decompress(small.data).startswith(b"<!doctype html>")


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0"])
def test_other_clients_get_the_page_as_it_is(visitor: Visitor, accepted: str) -> None:
    assert "Content-Encoding" not in visitor.client.get("/", headers={"Accept-Encoding": accepted}).headers


def test_small_answers_are_not_compressed(visitor: Visitor) -> None:
    assert "Content-Encoding" not in visitor.client.get("/robots.txt", headers={"Accept-Encoding": "gzip"}).headers
