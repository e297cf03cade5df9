"""Documents of tpay about a trade, with tpay's field names."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select

from mock_acquirer import clock
from mock_acquirer.cards import DECLINES
from mock_acquirer.db import db
from mock_acquirer.dialect_interface import setting
from mock_acquirer.dialects._tpay_wire import CURRENCY, ENDED_AS, OK, RESULTS, dollars, taipei
from mock_acquirer.models import Capture, Delivery, Payment, Refund

KINDS = {"card": "Credit_CreditCard", "store": "CVS_CVS"}
WAITING = "0"
CODE_ISSUED = "10100073"
REFUND_WORDS = {"pending": "Accepted", "succeeded": "Done", "failed": "Failed"}


def hash_pair() -> tuple[str, str]:
    """HashKey and HashIV of the demo merchant."""
    return setting("ACQUIRER_TPAY_HASH_KEY"), setting("ACQUIRER_TPAY_HASH_IV")


def trade_no(payment: Payment) -> str:
    """tpay's trade number: our id, truncated to twenty characters."""
    return "T" + payment.id.removeprefix("pay_")[:19].upper()


def charge_no(capture: Capture) -> str:
    """tpay's number of a capture."""
    return "C" + capture.id.removeprefix("cap_")[:19].upper()


def trade(payment: Payment, as_of: datetime, as_created: bool = False) -> dict[str, str]:
    """The trade as a query shows it: its state at `as_of`."""
    charges = [] if as_created else [one for one in payment.captures if one.captured_at <= as_of]
    over = not as_created and payment.ended_by is not None and (payment.ended_at or as_of) <= as_of
    shown = {
        "MerchantID": payment.wire["MerchantID"],
        "MerchantTradeNo": payment.reference,
        "TradeNo": trade_no(payment),
        "TradeAmt": dollars(payment.amount),
        "TradeDate": taipei(payment.created_at),
        "TradeStatus": OK if charges else ENDED_AS[payment.ended_by or ""] if over else WAITING,
        "ExpireDate": taipei(payment.expires_at),
        "PaymentType": KINDS[payment.method],
        "PaymentDate": taipei(charges[0].captured_at) if charges else "",
        "ChargeCount": str(len(charges)),
    }
    for index, one in enumerate(charges, start=1):
        shown |= {f"{name}{index}": value for name, value in charge(one).items()}
    if not as_created:
        shown |= _how(payment, as_of, waiting=not charges and not over) | _refunds(payment, as_of)
    return shown


def charge(capture: Capture) -> dict[str, str]:
    """A capture; in a query's fields a number follows each of these names."""
    return {
        "ChargeNo": charge_no(capture),
        "ChargeAmt": dollars(capture.amount, capture.currency),
        "ChargeCurrency": capture.currency,
        "ChargeDate": taipei(capture.captured_at),
    }


def _how(payment: Payment, as_of: datetime, waiting: bool) -> dict[str, str]:
    """Payment method details: the card, the last decline, or the store code that awaits payment."""
    shown: dict[str, str] = {}
    if payment.last4:
        shown |= {"CardBrand": payment.brand or "", "Card4No": payment.last4}
    if payment.last_decline:
        shown |= {"DeclineCode": payment.last_decline, "DeclineClass": DECLINES[payment.last_decline][0]}
    made = payment.expires_at - timedelta(seconds=setting("ACQUIRER_STORE_CODE_SECONDS"))
    if waiting and payment.store_code and made <= as_of:
        shown |= {"PaymentNo": payment.store_code, "Barcode1": payment.store_code}
    return shown


def _refunds(payment: Payment, as_of: datetime) -> dict[str, str]:
    listed = [one for one in payment.refunds if one.created_at <= as_of]
    shown = {"RefundCount": str(len(listed))} if listed else {}
    for index, one in enumerate(listed, start=1):
        shown |= {f"{name}{index}": value for name, value in refund(one, as_of).items()}
    return shown


def refund(one: Refund, as_of: datetime) -> dict[str, str]:
    """A refund: Accepted until it is Done or Failed; Void when it is reversed before the cut-off."""
    state = one.state if one.changed_at <= as_of else "pending"
    return {
        "RefundNo": one.reference,
        "RefundChargeNo": "C" + one.capture_id.removeprefix("cap_")[:19].upper(),
        "RefundAmount": dollars(one.amount, one.currency),
        "RefundStatus": REFUND_WORDS[state],
        "RefundType": one.wire.get("RefundType", "Refund"),
        "RefundDate": taipei(one.succeeded_at) if state == "succeeded" else "",
    }


def notice(payment: Payment, capture: Capture | None) -> dict[str, str]:
    """tpay's webhook about a capture. Without a capture it is a simulated payment: SimulatePaid=1, and no money."""
    amount, currency = (capture.amount, capture.currency) if capture else (payment.amount, payment.currency)
    at = capture.captured_at if capture else clock.now(payment.run)
    return {
        "MerchantID": payment.wire["MerchantID"],
        "MerchantTradeNo": payment.reference,
        "TradeNo": trade_no(payment),
        "ChargeNo": charge_no(capture) if capture else "",
        "RtnCode": OK,
        "RtnMsg": RESULTS[OK],
        "TradeAmt": dollars(amount, currency),
        "Currency": currency or CURRENCY,
        "PaymentDate": taipei(at),
        "PaymentType": KINDS[payment.method],
        "TradeDate": taipei(payment.created_at),
        "SimulatePaid": "0" if capture else "1",
    }


def code_notice(payment: Payment) -> dict[str, str]:
    """tpay's webhook about an issued store payment code, with the fields of ECPay's PaymentInfoURL."""
    return {
        "MerchantID": payment.wire["MerchantID"],
        "MerchantTradeNo": payment.reference,
        "TradeNo": trade_no(payment),
        "RtnCode": CODE_ISSUED,
        "RtnMsg": "Get CVS Code Succeeded.",
        "TradeAmt": dollars(payment.amount, payment.currency),
        "PaymentType": KINDS["store"],
        "TradeDate": taipei(payment.created_at),
        "PaymentNo": payment.store_code or "",
        "ExpireDate": taipei(payment.expires_at),
    }


def attempts_made(event_id: str) -> int:
    """Number of attempts to send this event so far."""
    made = select(func.max(Delivery.attempts_made)).where(Delivery.event_id == event_id)
    return db.session.scalar(made) or 0
