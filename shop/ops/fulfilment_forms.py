"""Forms of fulfilment: units by SKU, the tracking of a package, and the filters of the list that led to the form."""

from __future__ import annotations

from typing import Any

from flask import request

from shop.core import text
from shop.core.errors import BadInput
from shop.core.filter_values import refuse_unknown
from shop.fulfilment import carriers, to_ship
from shop.fulfilment.carriers import Tracking
from shop.fulfilment.to_ship import Filters

MOST_FIELDS = 200
"""Fields with units in a form; an order has fewer lines."""


def numbers() -> list[str]:
    """The selected orders in the address, which may have the filters of the list too. Raises BadInput."""
    refuse_unknown(request.args, ("number", *to_ship.NAMES), "parameter")
    return request.args.getlist("number")


def kept() -> dict[str, Any]:
    """Parameters with the filters of the list, which the pages of its orders keep in their addresses."""
    return {name: values for name, values in request.args.lists() if name != "number"}


def filters() -> Filters:
    """The filters of the list. Raises BadInput for other parameters."""
    return Filters.parse(kept())


def units(prefix: str) -> dict[str, int]:
    """The numbers of the fields `<prefix>.<SKU>`; an empty one is 0. Raises BadInput."""
    named = {name.removeprefix(f"{prefix}."): value for name, value in request.form.items() if _is_of(name, prefix)}
    if len(named) > MOST_FIELDS:
        raise BadInput("bad_form", "The form has too many fields. Reload the page.")
    return {sku: _number(value) for sku, value in named.items()}


def tracking(number: str | None = None) -> Tracking:
    """The tracking that the form names; with `number` in place of its own field. Raises BadInput."""
    form = request.form
    typed = form.get("tracking_number", "") if number is None else number
    named = {"name": form.get("carrier_name", ""), "url": form.get("tracking_url", "")}
    return carriers.tracking(form.get("carrier", ""), typed, **named)


def _is_of(name: str, prefix: str) -> bool:
    return name.startswith(f"{prefix}.")


def _number(typed: str) -> int:
    plain = text.plain(typed).replace(",", "")
    if not plain:
        return 0
    if not (plain.isascii() and plain.isdigit() and len(plain) < 10):
        raise BadInput("bad_quantity", "Enter whole numbers of units.")
    return int(plain)
