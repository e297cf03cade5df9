"""Refusals of packing and shipping. Only staff see them, so they are in English."""

from __future__ import annotations

from shop.core.errors import BadInput, Refusal
from shop.orders.states import OrderState


class NotShippable(Refusal):
    """The money of the order does not allow to ship it."""

    def __init__(self, state: OrderState) -> None:
        words = str(state).replace("_", " ").lower()
        message = f"The order is {words}. Only orders that are paid and not refunded in full are packed and shipped."
        super().__init__("not_shippable", message, state=str(state))


class TooMany(Refusal):
    """More units than are left to pack."""

    def __init__(self, name: str, left: int) -> None:
        units = "1 unit is" if left == 1 else f"{left} units are"
        super().__init__("too_many_units", f"{name}: only {units} left to pack.", left=left)


class NothingToPack(Refusal):
    """No units were chosen, or none are left."""

    def __init__(self) -> None:
        super().__init__("nothing_to_pack", "Choose at least one unit that is left to pack.")


class NotPacked(Refusal):
    """The package has left, or its packing was cancelled."""

    def __init__(self, number: int, state: str) -> None:
        message = f"Package {number} is {state.lower()} already. This page shows its present state."
        super().__init__("not_packed", message)


class SeveralPackages(Refusal):
    """An order whose packages cannot share one tracking number."""

    def __init__(self) -> None:
        message = "The order has several packages, or some that are packed in part. Ship them on its page."
        super().__init__("several_packages", message)


class FormUsed(Refusal):
    """The form has packed other units before."""

    def __init__(self) -> None:
        super().__init__("form_used", "This form was used already. Reload the page and choose the units again.")


class CountsChanged(Refusal):
    """The numbers that the reader saw have changed."""

    def __init__(self) -> None:
        super().__init__("order_changed", "The order has changed meanwhile. This page shows its present numbers.")


def unknown_shipment(number: int) -> Refusal:
    """The order has no package of this number."""
    return Refusal("unknown_shipment", f"The order has no package {number}.")


def bad_input(code: str, message: str, field: str) -> BadInput:
    """Refusal of a typed value; `field` is the name of its field."""
    return BadInput(code, message, field=field)
