"""Forms that Stripe refuses, with its own exceptions: items, odd forms, unsupported parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import stripe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.acquirer.stripe.client import Merchant, item

BAD_REQUEST = stripe.InvalidRequestError
ERRORS: dict[str, tuple[Callable[[Merchant], Any], type[stripe.StripeError], int, str | None, str | None]] = {
    "no such session": (lambda m: m.sessions.retrieve("cs_test_1"), BAD_REQUEST, 404, "resource_missing", "session"),
    "no such intent": (
        lambda m: m.api.payment_intents.retrieve("pi_1"),
        BAD_REQUEST,
        404,
        "resource_missing",
        "intent",
    ),
    "no such charge": (lambda m: m.api.charges.retrieve("ch_1"), BAD_REQUEST, 404, "resource_missing", "id"),
    "no such event": (lambda m: m.api.events.retrieve("evt_1"), BAD_REQUEST, 404, "resource_missing", "id"),
    "no such refund": (lambda m: m.api.refunds.retrieve("re_1"), BAD_REQUEST, 404, "resource_missing", "id"),
    "another key": (lambda m: m.client("sk_other").charges.list(), stripe.AuthenticationError, 401, None, None),
    "no mode": (lambda m: m.open(mode=None), BAD_REQUEST, 400, "parameter_missing", "mode"),
    "another mode": (lambda m: m.open(mode="setup"), BAD_REQUEST, 400, "parameter_invalid_enum", "mode"),
    "no items": (lambda m: m.open(line_items=None), BAD_REQUEST, 400, "parameter_missing", "line_items"),
    "no way back": (lambda m: m.open(success_url=None), BAD_REQUEST, 400, "parameter_missing", "success_url"),
    "an odd way back": (lambda m: m.open(success_url="data:,"), BAD_REQUEST, 400, "url_invalid", "success_url"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_becomes_the_librarys_own_exception(merchant: Merchant, case: str) -> None:
    call, kind, status, code, param = ERRORS[case]
    with pytest.raises(kind) as refused:
        call(merchant)
    assert (type(refused.value), refused.value.http_status, refused.value.code) == (kind, status, code)
    assert getattr(refused.value, "param", None) == param
    assert refused.value.request_id


PRICE = "line_items[0][price_data]"
BAD_ITEMS: list[tuple[dict[str, Any], str]] = [
    (item(quantity=0), "line_items[0][quantity]"),
    (item(quantity="two"), "line_items[0][quantity]"),
    ({"price_data": item()["price_data"]}, "line_items[0][quantity]"),
    ({"price": "price_1", "quantity": 1}, "line_items[0][price]"),
    (item(currency="eur"), f"{PRICE}[currency]"),
    (item(currency=None), f"{PRICE}[currency]"),
    (item(unit_amount=-1), f"{PRICE}[unit_amount]"),
    (item(unit_amount=1.5), f"{PRICE}[unit_amount]"),
    (item(product_data={"name": ""}), f"{PRICE}[product_data][name]"),
    (item(unit_amount=0), "line_items"),
    (item(unit_amount=99_999_999, quantity=2), "line_items"),
]


def test_an_item_that_cannot_be_so_is_refused_by_its_full_name_and_opens_nothing(merchant: Merchant) -> None:
    for bad, param in BAD_ITEMS:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            merchant.open(line_items=[bad])
        assert (refused.value.http_status, refused.value.param) == (400, param)
    assert merchant.sessions.list().data == []


@pytest.mark.parametrize("currency", ["usd", "jpy"])
def test_an_amount_below_stripes_smallest_charge_is_refused(merchant: Merchant, currency: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.open(line_items=[item(currency=currency, unit_amount=49)])
    assert (refused.value.code, refused.value.param) == ("amount_too_small", "line_items")
    assert merchant.open(line_items=[item(currency=currency, unit_amount=50)]).amount_total == 50


ODD_FORMS = {
    "an open bracket": "a[b",
    "no name": "[]=1",
    "fields and a value": "a[b]=1&a=2",
    "a value and fields": "a=1&a[b]=2",
    "an item that is a word": "line_items[0]=x",
    "items from seven on": "line_items[7][x]=1",
    "what no database takes": "metadata[a]=%00",
    "no UTF-8": "x=%ff",
    "a word for a list": "expand=payment_intent",
    "too much metadata": "&".join(f"metadata[k{n}]=v" for n in range(51)),
    "too deep": "a" + "[b]" * 9 + "=1",
}


@pytest.mark.parametrize("form", ODD_FORMS.values(), ids=ODD_FORMS)
def test_odd_forms_are_refused_in_stripes_shape(merchant: Merchant, form: str) -> None:
    answer = merchant.curl("POST", "/checkout/sessions", content=form + "&mode=payment")
    assert answer.status_code == 400 and answer.json()["error"]["type"] == "invalid_request_error"


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from([
    "mode", "line_items[0][quantity]", "line_items[][price_data][currency]", "line_items[0][price_data][unit_amount]",
    "success_url", "expires_at", "metadata[a]", "expand[]", "payment_intent_data[metadata]", "customer_email", "locale",
]), st.text(max_size=12) | st.integers().map(str)))  # fmt: skip
def test_no_form_is_too_odd_for_an_answer(merchant: Merchant, form: dict[str, str]) -> None:
    clean = {name: value.encode("utf-8", "replace").decode() for name, value in form.items()}
    assert merchant.curl("POST", "/checkout/sessions", data=clean).status_code in (200, 400)


def test_json_unknown_paths_and_wrong_methods_are_answered_in_stripes_shape(merchant: Merchant) -> None:
    assert merchant.curl("POST", "/checkout/sessions", json={}).status_code == 400
    for method, path, status in (("GET", "/nothing", 404), ("DELETE", "/checkout/sessions", 405)):
        answer = merchant.curl(method, path)
        assert answer.status_code == status and answer.json()["error"]["type"] == "invalid_request_error"
    basic = httpx.get(f"{merchant.base}/v1/checkout/sessions", auth=("sk_test_demo", ""))
    assert basic.status_code == 200


# --- unsupported parameters are refused ---

UNSUPPORTED: list[tuple[dict[str, Any], str]] = [
    ({"client_refrence_id": "P-1"}, "client_refrence_id"),
    ({"discounts": [{"coupon": "c"}]}, "discounts"),
    ({"shipping_options": [{"shipping_rate": "s"}]}, "shipping_options"),
    ({"customer": "cus_1"}, "customer"),
    ({"payment_intent_data": {"receipt_email": "a@b.c"}}, "payment_intent_data[receipt_email]"),
    ({"line_items": [{"quantity": 1, "qty": 2}]}, "line_items[0][qty]"),
    (
        {"line_items": [{"quantity": 1, "price_data": {"curency": "twd"}}]},
        "line_items[0][price_data][curency]",
    ),
]


@pytest.mark.parametrize(("changed", "param"), UNSUPPORTED)
def test_a_parameter_that_is_unknown_or_not_supported_is_refused_by_its_name(
    merchant: Merchant, changed: dict[str, Any], param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.open(**changed)
    received = refused.value
    assert (received.http_status, received.code, received.param) == (400, "parameter_unknown", param)
    assert str(received.user_message).startswith(f"Received unknown parameter: {param}.")
    assert merchant.sessions.list().data == []


def test_the_nearest_parameter_is_named(merchant: Merchant) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Did you mean 'client_reference_id'"):
        merchant.open(client_refrence_id="P-1")


def test_filters_and_expansions_that_would_be_ignored_are_refused(merchant: Merchant) -> None:
    intent = merchant.approve(merchant.open()).payment_intent
    refund, cancel = merchant.api.refunds.create, merchant.api.payment_intents.cancel
    for call, param in (
        (lambda: merchant.sessions.list({"ending_before": "cs_test_1"}), "ending_before"),
        (lambda: merchant.sessions.list({"customer": "cus_1"}), "customer"),
        (lambda: merchant.api.refunds.list({"payment_intent": intent.id, "created": {"gt": 1}}), "created"),
        (lambda: merchant.api.charges.list({"payment_intent": intent.id, "transfer_group": "x"}), "transfer_group"),
        (lambda: merchant.api.charges.retrieve(intent.latest_charge.id, {"expand": ["customer"]}), "expand"),
        (lambda: merchant.sessions.retrieve("cs_test_1", {"expand": ["payment_intnt"]}), "expand"),
        (lambda: refund({"payment_intent": intent.id, "reverse_transfer": True}), "reverse_transfer"),
        (lambda: cancel(intent.id, {"cancellation_reason": "abandoned"}), "cancellation_reason"),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            call()
        assert (refused.value.http_status, refused.value.param) == (400, param)
    assert merchant.api.refunds.list({"payment_intent": intent.id}).data == []


def test_metadata_is_free_and_card_is_the_one_method(merchant: Merchant) -> None:
    session = merchant.open(metadata={"anything": "7", "7": "x"}, payment_method_types=["card"])
    assert session.metadata["anything"] == "7"
    with pytest.raises(stripe.InvalidRequestError, match="'klarna' is not known here"):
        merchant.open(payment_method_types=["card", "klarna"])


def test_an_unknown_key_is_said_before_any_parameter(merchant: Merchant) -> None:
    with pytest.raises(stripe.AuthenticationError):
        merchant.client("sk_other").checkout.sessions.list({"nonsense": "1"})
