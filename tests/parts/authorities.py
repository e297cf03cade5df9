"""Cached TLS context: httpx would read all certificate authorities for every client, in 30 ms, and no test uses TLS."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import httpx._transports.default as transports
import pytest


@pytest.fixture(scope="session", autouse=True)
def _authorities() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transports, "create_ssl_context", cache(transports.create_ssl_context))
        yield
