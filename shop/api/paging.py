"""Pages of lists: `page` and `limit`, or `cursor` for long lists; total, Link header and cursor of the next page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from flask import current_app, request
from marshmallow import Schema

from shop.api.resource import Invalid, Resource
from shop.api.schemas.pages import COUNTED
from shop.core.keyset import Place, Position

HEADERS: dict[str, Any] = {
    "Link": {"description": "Addresses of the first, previous and next page (RFC 8288).", "schema": {"type": "string"}}
}

V = TypeVar("V", bound=Callable[..., Any])


@dataclass(frozen=True)
class Wanted:
    """The page of a request: rows from `offset`, or after the position of a cursor."""

    page: int
    limit: int
    after: Position | None = None

    @property
    def offset(self) -> int:
        return 0 if self.after else (self.page - 1) * self.limit

    @property
    def place(self) -> Place:
        return Place(after=self.after)


def lists(
    of: Resource, query: type[Schema], page: type[Schema], item: dict[str, Any], headers: Mapping[str, Any] = HEADERS
) -> Callable[[V], V]:
    """Parse the parameters of a list and document its page; `item` is the example of a row. Apply it below the rest."""
    example = {"items": [item], "total": 1, "limit": 20, "page": 1}

    def decorator(view: V) -> V:
        documented = of.response(200, page, headers=headers, example=example)(view)
        return of.arguments(query, location="query")(documented)

    return decorator


def wanted(query: dict[str, Any]) -> Wanted:
    """The page that the parsed parameters name. Raises Invalid for a page number that needs a cursor."""
    cursor = query.get("cursor")
    found = Wanted(query["page"], query["limit"], Position.parse(cursor) if cursor else None)
    if found.offset + found.limit > COUNTED:
        message = f"Page numbers reach {COUNTED:,} rows. Use `cursor` beyond."
        raise Invalid([{"parameter": "page", "code": "invalid", "detail": message}])
    return found


def answer(
    items: Sequence[dict[str, Any]],
    total: int,
    page: Wanted,
    *,
    is_exact: bool = True,
    next_cursor: Position | None = None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Body and headers of a page. `total` is a lower bound unless `is_exact`. `next_cursor` is the position of the last
    row if rows follow.
    """
    body: dict[str, Any] = {"items": list(items), "total": total, "limit": page.limit}
    body |= {} if page.after else {"page": page.page}
    body |= {} if is_exact else {"total_is_minimum": True}
    body |= {"next_cursor": str(next_cursor)} if next_cursor else {}
    links = _links(body, page)
    return body, {"Link": links} if links else {}


def _links(body: dict[str, Any], page: Wanted) -> str:
    found = {"first": {"page": 1}}
    if not page.after and page.page > 1:
        found["prev"] = {"page": page.page - 1}
    reaches = page.offset + page.limit
    if "next_cursor" in body and (page.after or reaches + page.limit > COUNTED):
        found["next"] = {"cursor": body["next_cursor"]}
    elif not page.after and reaches < body["total"]:
        found["next"] = {"page": page.page + 1}
    return ", ".join(f'<{_address(parameters)}>; rel="{rel}"' for rel, parameters in found.items())


def _address(parameters: dict[str, Any]) -> str:
    kept = [pair for pair in request.args.items(multi=True) if pair[0] not in ("page", "cursor")]
    base = f"{str(current_app.config['SHOP_URL']).rstrip('/')}{quote(request.path)}"
    return f"{base}?{urlencode([*kept, *parameters.items()])}"
