"""tpay: a Taiwanese cashier that the customer's browser reaches by an auto-submitted form. Fictional, of ECPay's kind.

Fields carry a CheckMacValue, amounts are whole dollars, times are Taipei's, errors come with HTTP 200 and RtnCode≠1.
tpay knows a trade only once the browser has posted it. `docs/providers/tpay.md` describes the wire for merchants.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from sqlalchemy import update

from mock_acquirer import calls, clock, engine, guards, refunds, states, targets
from mock_acquirer.db import db
from mock_acquirer.dialects import Dialect, Merchant, setting
from mock_acquirer.dialects import _tpay_wire as wire
from mock_acquirer.dialects._tpay_settlement import SETTLEMENT
from mock_acquirer.dialects._tpay_shapes import attempts_made, charge_no, hash_pair, notice, refund, trade
from mock_acquirer.dialects._tpay_wire import OK, no
from mock_acquirer.errors import Refused
from mock_acquirer.models import Capture, Payment, Run
from mock_acquirer.settings import Row, positive, text, web_address
from mock_acquirer.signing import Signed
from mock_acquirer.times import wall_now

NAME, MERCHANT = "tpay", "demo"
PREFIX = "/tpay"
CASHIER = f"{PREFIX}/cashier/"
SETTINGS = (
    Row("ACQUIRER_TPAY_MERCHANT_ID", "3002607", text, "MerchantID of tpay's merchant; `.name` after it picks a run."),
    Row("ACQUIRER_TPAY_HASH_KEY", "pwFHCqoQZGmho4w6", text, "HashKey in the CheckMacValue of tpay's demo merchant."),
    Row("ACQUIRER_TPAY_HASH_IV", "EkRm7iFT261dpevs", text, "HashIV in the CheckMacValue of tpay's demo merchant."),
    Row("ACQUIRER_TPAY_WEBHOOK_SECRET", "tpay_demo_secret", text, "Secret of X-Signature on tpay's webhooks."),
    Row(
        "ACQUIRER_TPAY_WEBHOOK_URL",
        "http://localhost:8000/webhooks/tpay",
        web_address,
        "Where tpay's webhooks go when a trade has no ReturnURL.",
    ),
    Row("ACQUIRER_TPAY_QUERY_LAG", "5", positive, "Seconds that tpay's answers to queries lag behind the truth."),
)
LONGEST_SESSION = timedelta(days=30)
REFUND_TAKES = timedelta(minutes=1)
TOLERANCE = timedelta(minutes=3)
METHODS = {"ALL": ("card", "store"), "Credit": ("card",), "CVS": ("store",)}
bp = Blueprint(NAME, __name__, url_prefix=PREFIX)


def merchant(name: str) -> Merchant:
    return Merchant(name, "Demo shop", setting("ACQUIRER_TPAY_WEBHOOK_URL"), setting("ACQUIRER_TPAY_WEBHOOK_SECRET"))


# --- who calls, and with what -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Caller:
    """The merchant, the run that the MerchantID names, and the fields that were sent."""

    merchant: str
    run: str
    sent: dict[str, str]


def _caller() -> Caller:
    """Who calls, by MerchantID and CheckMacValue."""
    sent = wire.read_form(request.get_data())
    named, _, run = sent.get("MerchantID", "").partition(".")
    if not hmac.compare_digest(named.encode(), setting("ACQUIRER_TPAY_MERCHANT_ID").encode()):
        raise no("10200001")
    if not wire.is_sealed(sent, *hash_pair()):
        raise no("10200073")
    return Caller(MERCHANT, clock.enter_run(run), sent)


def _api_caller() -> Caller:
    """The same for a call between servers, which also says when it was made (wall time)."""
    caller = _caller()
    stamp = caller.sent.get("TimeStamp", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12):
        raise no("10200052", "TimeStamp must be in epoch seconds.")
    if abs(wall_now().timestamp() - int(stamp)) > TOLERANCE.total_seconds():
        raise no("10200060")
    return caller


def _known(caller: Caller, trade_number: str) -> Payment | None:
    found = engine.by_reference(caller.run, caller.merchant, trade_number)
    return next((payment for payment in found if payment.dialect == NAME), None)


def _claim(caller: Caller, session: engine.Session) -> tuple[Payment, bool]:
    """The trade with this number, and whether it is new. Locks the run's row, so that of two at once one is second."""
    locked = update(Run).where(Run.name == caller.run).values(payment_seq=Run.payment_seq)
    db.session.execute(locked.execution_options(synchronize_session=False))
    known = _known(caller, session.reference)
    return (known, False) if known else (engine.open_session(session), True)


# --- the cashier ------------------------------------------------------------------------------------------------------


@bp.post("/cashier/checkout")
def checkout() -> Response:
    """The browser brings the trade. The same fields again lead to the same cashier while nothing is paid."""
    caller = _caller()
    g.tpay_back = caller.sent.get("ClientBackURL", "")
    session = _read_session(caller)

    def doing(_: str) -> calls.Effect:
        payment, is_new = _claim(caller, session)
        return calls.Effect(303, payment.id if is_new else _same(payment, session).id)

    known = _known(caller, session.reference)
    answer = calls.perform(calls.Call(NAME, "start", caller.run, known), doing)
    if answer.status != 303 or answer.body is None:
        return _page(answer.status, "10200099", wire.RESULTS["10200099"] + ".")
    return _leave(url_for("pages.form", payment_id=answer.body))


def _leave(where: str) -> Response:
    return make_response(redirect(where, 303))


def _same(known: Payment, session: engine.Session) -> Payment:
    """The trade that has this number already. Refuses other fields, and a trade that is finished."""
    if known.wire.get(wire.MAC) != session.wire[wire.MAC]:
        raise no("10200050")
    if known.state not in states.OPEN:
        raise no("10200051")
    return known


def _read_session(caller: Caller) -> engine.Session:
    sent = caller.sent
    wire.one_of(sent, "PaymentType", "aio")
    wire.one_of(sent, "EncryptType", "1")
    wire.read_time(sent, "MerchantTradeDate")
    chosen = wire.one_of(sent, "ChoosePayment", *METHODS)
    return engine.Session(
        run=caller.run,
        dialect=NAME,
        merchant=caller.merchant,
        reference=wire.number(sent, "MerchantTradeNo"),
        amount=wire.read_dollars(sent, "TotalAmount"),
        currency=wire.CURRENCY,
        return_url=_address(sent, "ClientBackURL"),
        webhook_url=_webhook(sent),
        expires_at=_end(caller),
        description=wire.text(sent, "TradeDesc", 200),
        locale=wire.text(sent, "Language", 20, ""),
        wire={"MerchantID": sent["MerchantID"], wire.MAC: sent[wire.MAC], "ChoosePayment": chosen},
    )


def _address(sent: dict[str, str], name: str) -> str:
    """An address, or empty when there is none."""
    url = wire.text(sent, name, targets.LONGEST, "")
    try:
        return url and targets.origin_of(url) and url
    except ValueError as wrong:
        raise no("10200052", f"{name} must be a plain http or https address.") from wrong


def _webhook(sent: dict[str, str]) -> str:
    url = _address(sent, "ReturnURL") or merchant(MERCHANT).webhook_url
    if url and not targets.is_allowed(url):
        raise no("10200052", "ReturnURL may only lead to the origins listed in ACQUIRER_WEBHOOK_TARGETS.")
    return url


def _end(caller: Caller) -> datetime:
    now = clock.now(caller.run)
    if not caller.sent.get("ExpireDate"):
        return engine.default_end(caller.run, setting("ACQUIRER_SESSION_SECONDS"))
    end = wire.read_time(caller.sent, "ExpireDate")
    if end > now + LONGEST_SESSION:
        raise no("10200052", "ExpireDate may be at most 30 days ahead.")
    known = _known(caller, caller.sent.get("MerchantTradeNo", ""))
    if end <= now and known is None:
        raise no("10200053")
    return end


# --- calls between servers --------------------------------------------------------------------------------------------


def _answer(told: calls.Answer) -> Response:
    if told.body is None:
        return Response("", told.status, content_type="text/plain")
    return Response(told.body, told.status, told.headers, content_type=wire.FORM)


def _fine(fields: dict[str, str]) -> calls.Effect:
    return calls.Effect(200, wire.sealed({"RtnCode": OK, "RtnMsg": wire.RESULTS[OK]} | fields, *hash_pair()))


def _as_of(payment: Payment) -> datetime:
    return clock.now(payment.run) - timedelta(seconds=setting("ACQUIRER_TPAY_QUERY_LAG"))


@bp.post("/query")
def query() -> Response:
    """The trade as it was some seconds ago."""
    caller = _api_caller()
    payment = _known(caller, wire.number(caller.sent, "MerchantTradeNo"))

    def doing(shows: str) -> calls.Effect:
        if payment is None or shows == "nothing" or payment.created_at > _as_of(payment):
            raise no("10200047")
        return _fine(trade(payment, _as_of(payment), as_created=shows == "created"))

    return _answer(calls.perform(calls.Call(NAME, "query", caller.run, payment), doing))


@bp.post("/cancel")
def cancel() -> Response:
    """No money will be taken under this number: an open trade ends, and a number never seen is burnt."""
    caller = _api_caller()
    reference = wire.number(caller.sent, "MerchantTradeNo")
    known = _known(caller, reference)

    def doing(_: str) -> calls.Effect:
        _end_trade(_claim(caller, _unseen(caller, reference))[0])
        return _fine({"MerchantTradeNo": reference})

    return _answer(calls.perform(calls.Call(NAME, "cancel", caller.run, known), doing))


def _unseen(caller: Caller, reference: str) -> engine.Session:
    """A trade about which nothing is known but its number."""
    return engine.Session(
        run=caller.run,
        dialect=NAME,
        merchant=caller.merchant,
        reference=reference,
        amount=0,
        currency=wire.CURRENCY,
        return_url="",
        webhook_url="",
        expires_at=engine.default_end(caller.run, setting("ACQUIRER_SESSION_SECONDS")),
        description="A number that was cancelled before the browser came",
        wire={"MerchantID": caller.sent["MerchantID"]},
    )


def _end_trade(payment: Payment) -> None:
    try:
        engine.cancel(payment, "merchant")
    except Refused as late:
        raise no("10200080" if payment.state == "captured" else "10200081") from late


@bp.post("/refund")
def give_back() -> Response:
    """Send money back. Until 20:00 a whole reversal is a void; what is done afterwards, the query tells."""
    caller = _api_caller()
    reference, amount = wire.number(caller.sent, "RefundNo"), wire.read_dollars(caller.sent, "RefundAmount")
    payment = _known(caller, wire.number(caller.sent, "MerchantTradeNo"))
    if payment is None:
        raise no("10200047")

    def doing(_: str) -> calls.Effect:
        capture = _charge(payment, caller.sent.get("ChargeNo", ""))
        kind, wait = _way_back(payment, capture, amount)
        made = _refund(payment, amount, reference, capture, kind, wait)
        return _fine({"MerchantTradeNo": payment.reference} | refund(made, clock.now(payment.run)))

    return _answer(calls.perform(calls.Call(NAME, "refund", caller.run, payment), doing))


def _charge(payment: Payment, named: str) -> Capture:
    """The taking of money with this number; without one the first that has something left, else the first."""
    mine = [one for one in payment.captures if named in ("", charge_no(one))]
    if not mine:
        raise no("10200091")
    return next((one for one in mine if refunds.left(one) > 0), mine[0])


def _way_back(payment: Payment, capture: Capture, amount: int) -> tuple[str, timedelta]:
    """(Void or Refund, how long it takes): until 20:00 all of it is a void, and a part waits for 20:00."""
    now, cut_off = clock.now(payment.run), wire.cut_off(capture.captured_at)
    if now >= cut_off:
        return "Refund", REFUND_TAKES
    whole = amount == capture.amount and capture.refunded == 0
    return ("Void", timedelta()) if whole else ("Refund", cut_off - now + REFUND_TAKES)


def _refund(payment: Payment, amount: int, reference: str, capture: Capture, kind: str, wait: timedelta) -> Any:
    known = refunds.by_reference(payment, reference)
    if known is not None:
        if known.amount != amount:
            raise no("10200092")
        return known
    try:
        told = {"RefundType": kind}
        return engine.refund(payment, amount, reference, capture_id=capture.id, wait=wait, wire=told)
    except Refused as refused:
        raise no("10200090" if refused.status == 422 else "10200091") from refused


# --- webhooks and errors ----------------------------------------------------------------------------------------------


def event_body(payment: Payment, kind: str, event_id: str, moment: datetime) -> tuple[str, str] | None:
    """tpay tells of money alone, and of none when a rehearsal is asked for."""
    makes: dict[str, Callable[[], Capture | None]] = {
        "payment.captured": lambda: payment.captures[-1],
        "payment.simulated": lambda: None,
    }
    if kind not in makes:
        return None
    return wire.FORM, wire.sealed(notice(payment, makes[kind]()), *hash_pair())


def x_signature(keys: list[str], event_id: str, at: datetime, body: bytes) -> Signed:
    """`X-Signature`: hex HMAC-SHA256 of the raw body by each valid secret, separated by commas. No id, no time.

    From the second attempt on RtnMsg says that it is one, and so the body is another.
    """
    made = attempts_made(event_id)
    if made:
        fields = wire.read_form(body)
        body = wire.sealed(fields | {"RtnMsg": f"{fields['RtnMsg']} (notice {made + 1})"}, *hash_pair()).encode()
    macs = [hmac.new(key.encode(), body, hashlib.sha256).hexdigest() for key in keys]
    return Signed({"x-signature": ",".join(macs)}, body, body.decode("utf-8", "replace"))


def refuse(refused: Refused) -> Response:
    """What is not fine is told with HTTP 200 and a RtnCode; a page says it to people at the cashier."""
    told = refused.code if refused.code in wire.RESULTS else "10200099" if refused.status >= 429 else "10200052"
    of_the_web = refused.status in (404, 405, 413, 429) or refused.status >= 500
    status = refused.status if of_the_web else 200
    if request.path.startswith(CASHIER):
        return _page(status, told, refused.message, refused.headers)
    body = urlencode({"RtnCode": told, "RtnMsg": refused.message})
    return Response(body, status, refused.headers, content_type=wire.FORM)


def _page(status: int, code: str, sentence: str, headers: Any = None) -> Response:
    """For people: what is wrong, and the way back when a signed form named it."""
    back = g.get("tpay_back", "")
    try:
        back = back and targets.origin_of(back) and back
    except ValueError:
        back = ""
    page = render_template("mock_acquirer/store_refused.html", brand="Tpay", code=code, sentence=sentence, back=back)
    return guards.add_headers(make_response(page, status, headers or {}))


def methods(payment: Payment) -> tuple[str, ...]:
    """The ways to pay that the merchant offers for this trade."""
    return METHODS[payment.wire.get("ChoosePayment", "ALL")]


DIALECT = Dialect(
    name=NAME,
    title="Tpay",
    prefix=PREFIX + "/",
    settings=SETTINGS,
    blueprint=bp,
    merchant=merchant,
    event_body=event_body,
    settlement=SETTLEMENT,
    sign=x_signature,
    signature_header="x-signature",
    acknowledged=lambda status, answer: status == 200 and answer == "1|OK",
    retries=(0, 600, 600, 600, 600),
    jitter=0.5,
    refuse=refuse,
    methods=methods,
    rehearses=True,
)
