"""Versions of resources: the header ETag of an answer, and If-Match on calls that change it.

The ETag of a resource without a number of its changes is a digest of its body. That of a product begins with the number
of its changes by staff, which If-Match compares, and ends with a digest for caches: units that are sold meanwhile, and
another language, do not stand against a change.
"""

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


NEEDED = IF_MATCH | {
    "required": True,
    "description": "ETag that the caller has read, or `*` for any version. If the resource has changed since, nothing "
    "is done (412).",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "example": "*"},
}


def numbered(number: int, body: Mapping[str, Any]) -> str:
    """ETag of a resource whose changes are numbered."""
    return f"{number}-{etag(body)}"


def demand_number(number: int) -> None:
    """Compare the number of a resource's changes with If-Match, which the request must have.

    Raises Refusal `version_needed` (428) and `version_changed` (412).
    """
    if "If-Match" not in request.headers:
        raise Refusal("version_needed", "Send the ETag that was read as If-Match, or * for any version.")
    given = request.if_match
    if not given.star_tag and str(number) not in {tag.partition("-")[0] for tag in given.as_set()}:
        raise _changed()


def demand_match(body: Mapping[str, Any]) -> None:
    """Compare the resource as it is now with If-Match, if the request has one. Raises Refusal `version_changed` (412).

    It is a check of what the caller has read, without a lock: the use case that follows decides races.
    """
    if "If-Match" in request.headers and etag(body) not in request.if_match:
        raise _changed()


def _changed() -> Refusal:
    return Refusal("version_changed", "The resource has changed since it was read. Nothing was done.")
