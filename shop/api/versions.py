"""Versions of resources: the header ETag of an answer, and If-Match on calls that change it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from flask import request

from shop.core.errors import Refusal

HEADERS: dict[str, Any] = {
    "ETag": {"description": "Version of the resource, for If-Match.", "schema": {"type": "string"}}
}
IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "description": "ETag that the caller has read. If the resource has changed since, nothing is done (412).",
    "schema": {"type": "string", "maxLength": 200},
}


def etag(body: Mapping[str, Any]) -> str:
    """Version of a resource with this body."""
    text = json.dumps(body, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def headers(body: Mapping[str, Any]) -> dict[str, str]:
    """The header ETag of an answer with this body."""
    return {"ETag": f'"{etag(body)}"'}


def demand_match(body: Mapping[str, Any]) -> None:
    """Compare the resource as it is now with If-Match, if the request has one. Raises Refusal `version_changed` (412).

    It is a check of what the caller has read, without a lock: the use case that follows decides races.
    """
    if "If-Match" in request.headers and etag(body) not in request.if_match:
        raise Refusal("version_changed", "The resource has changed since it was read. Nothing was done.")
