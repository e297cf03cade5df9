"""Filters of the list of orders: read from addresses, written to them, and refused."""

from __future__ import annotations

from datetime import date

import pytest

from shop.core.errors import BadInput
from shop.core.money import Money
from shop.order_search.filters import NAMES, Filters, Flag, Method, pairs, parse, without
from shop.orders.states import OrderState
from shop.payments.providers.types import PaymentState

PROVIDERS = ("kpay", "stripe")
ALL = {
    "state": ["PAID", "FAILED"],
    "payment": ["CAPTURED"],
    "provider": ["stripe", "kpay"],
    "method": ["store"],
    "flag": ["late", "disputed"],
    "currency": ["USD"],
    "least": ["12.50"],
    "most": ["100.00"],
    "from": ["2026-11-01"],
    "to": ["2026-11-30"],
}


def test_filters_are_read_from_an_address_and_written_back() -> None:
    filters = parse(ALL, PROVIDERS)
    assert filters == Filters(
        states=(OrderState.PAID, OrderState.FAILED),
        payment_states=(PaymentState.CAPTURED,),
        providers=("stripe", "kpay"),
        methods=(Method.STORE,),
        flags=(Flag.LATE, Flag.DISPUTED),
        currencies=("USD",),
        least=Money(1250, "USD"),
        most=Money(10000, "USD"),
        placed_from=date(2026, 11, 1),
        placed_to=date(2026, 11, 30),
    )
    assert set(ALL) == set(NAMES)
    assert pairs(filters) == [(name, value) for name, values in ALL.items() for value in values]


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_is_dropped_and_the_others_stay(name: str) -> None:
    left = [pair for pair in pairs(parse(ALL, PROVIDERS)) if pair[0] != name]
    if name == "currency":
        left = [pair for pair in left if pair[0] not in ("least", "most")]
    assert pairs(without(parse(ALL, PROVIDERS), name)) == left


def test_empty_and_repeated_values_do_not_count() -> None:
    assert parse({"state": ["", "PAID", "PAID"], "least": [""], "from": []}, PROVIDERS) == Filters((OrderState.PAID,))


@pytest.mark.parametrize(
    ("given", "code", "known"),
    [
        ({"colour": ["red"]}, "unknown_filter", "'colour'. Filters are state, payment, provider, method, flag"),
        ({"state": ["PAIDD"]}, "bad_filter", "PENDING, WAITING_PAYMENT, FAILED"),
        ({"payment": ["paid"]}, "bad_filter", "CREATED, UNKNOWN"),
        ({"provider": ["visa"]}, "bad_filter", "kpay, stripe"),
        ({"method": ["cash"]}, "bad_filter", "card, store, other"),
        ({"flag": ["early"]}, "bad_filter", "late, duplicate, wrong_amount, in_review, disputed, open_refund"),
        ({"currency": ["EUR"]}, "bad_filter", "TWD, JPY, USD"),
        ({"least": ["5"]}, "bad_filter", "exactly one currency"),
        ({"most": ["5"], "currency": ["TWD", "USD"]}, "bad_filter", "exactly one currency"),
        ({"least": ["5.5"], "currency": ["JPY"]}, "bad_filter", "an amount, such as"),
        ({"least": ["1e3"], "currency": ["TWD"]}, "bad_filter", "an amount, such as"),
        ({"least": ["1", "2"], "currency": ["TWD"]}, "bad_filter", "one value"),
        ({"from": ["yesterday"]}, "bad_filter", "a day, such as"),
        ({"to": ["0001-01-01"]}, "bad_filter", "a day, such as"),
        ({"from": ["2026-12-01"], "to": ["2026-11-01"]}, "bad_filter", "is after the last one"),
    ],
)
def test_unknown_filters_and_values_are_refused_and_the_known_ones_listed(
    given: dict[str, list[str]], code: str, known: str
) -> None:
    with pytest.raises(BadInput) as refused:
        parse(given, PROVIDERS)
    assert refused.value.code == code and known in refused.value.message
