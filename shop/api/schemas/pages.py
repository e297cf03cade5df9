"""Pages of lists: parameters and answers."""

from __future__ import annotations

from marshmallow import fields, validate

from shop.api.schemas.fields import QueryNumber, Strict

LIMIT, LARGEST_LIMIT = 20, 100
COUNTED = 10_000
"""Rows up to which a total is exact, and which page numbers reach."""


class NumberedQuery(Strict):
    """Parameters of a list of few rows. Inherit from it to add filters."""

    page = QueryNumber(
        load_default=1, validate=validate.Range(1, COUNTED), metadata={"description": "Number of the page, from 1."}
    )
    limit = QueryNumber(
        load_default=LIMIT, validate=validate.Range(1, LARGEST_LIMIT), metadata={"description": "Rows of a page."}
    )


class PageQuery(NumberedQuery):
    """Parameters of a list of any length. Inherit from it to add filters."""

    cursor = fields.String(
        validate=validate.Regexp("[0-9]{1,17}-[0-9]{1,18}\\Z", error="This is not a cursor of a list."),
        metadata={"description": "`next_cursor` of the page before. `page` does not count then."},
    )


def page_schema(item: type[Strict]) -> type[Strict]:
    """Schema of a page whose rows have the schema `item`."""
    values = {
        "items": fields.List(fields.Nested(item), required=True),
        "total": fields.Integer(required=True),
        "total_is_minimum": fields.Boolean(metadata={"description": f"There are more than {COUNTED:,} rows."}),
        "page": fields.Integer(),
        "limit": fields.Integer(required=True),
        "next_cursor": fields.String(metadata={"description": "Cursor of the next page, if there is one."}),
    }
    made = type(f"{item.__name__.removesuffix('Schema')}PageSchema", (Strict,), values)
    made.__doc__ = "A page of a list."
    return made
