"""tpay: a Taiwanese cashier that the customer's browser reaches by an auto-submitted form. Fictional, modelled on
ECPay.

Fields carry a CheckMacValue, amounts are whole dollars, times are Taipei's, errors have HTTP 200 and RtnCode≠1.
tpay knows a trade only after the browser has posted it. `docs/providers/tpay.md` describes the wire format for
merchants.
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

from mock_acquirer import calls, clock, engine, guards, language, refunds, states, targets
from mock_acquirer.db import db
from mock_acquirer.dialect_interface import Dialect, Merchant, setting
from mock_acquirer.dialects import _tpay_wire as wire
from mock_acquirer.dialects._tpay_settlement import SETTLEMENT
from mock_acquirer.dialects._tpay_shapes import attempts_made, charge_no, code_notice, hash_pair, notice, refund, trade
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
    Row(
        "ACQUIRER_TPAY_MERCHANT_ID",
        "3002607",
        text,
        "MerchantID of tpay's merchant; `.name` after it picks a run. Not there: that of TPAY_MERCHANT_ID.",
        same_as="TPAY_MERCHANT_ID",
    ),
    Row(
        "ACQUIRER_TPAY_HASH_KEY",
        "pwFHCqoQZGmho4w6",
        text,
        "HashKey in the CheckMacValue of tpay's merchant. Not there: that of TPAY_HASH_KEY.",
        secret=True,
        same_as="TPAY_HASH_KEY",
    ),
    Row(
        "ACQUIRER_TPAY_HASH_IV",
        "EkRm7iFT261dpevs",
        text,
        "HashIV in the CheckMacValue of tpay's merchant. Not there: that of TPAY_HASH_IV.",
        secret=True,
        same_as="TPAY_HASH_IV",
    ),
    Row(
        "ACQUIRER_TPAY_WEBHOOK_SECRET",
        "tpay_demo_secret",
        text,
        "Secret of X-Signature on tpay's webhooks. Not there: the first of TPAY_WEBHOOK_SECRET.",
        secret=True,
        same_as="TPAY_WEBHOOK_SECRET",
    ),
    Row(
        "ACQUIRER_TPAY_WEBHOOK_URL",
        "http://localhost:8000/webhooks/tpay",
        web_address,
        "Where tpay's webhooks go when a trade has no ReturnURL.",
        same_as="SHOP_URL",
        path="/webhooks/tpay",
    ),
    Row("ACQUIRER_TPAY_QUERY_LAG", "5", positive, "Seconds that tpay's answers to queries lag behind the truth."),
)
LONGEST_SESSION = timedelta(days=30)
STRANGER = "10200001"
REFUND_TAKES = timedelta(minutes=1)
TOLERANCE = timedelta(minutes=3)
METHODS = {"ALL": ("card", "store"), "Credit": ("card",), "CVS": ("store",)}
bp = Blueprint(NAME, __name__, url_prefix=PREFIX)


def merchant(name: str) -> Merchant:
    return Merchant(name, "Demo shop", setting("ACQUIRER_TPAY_WEBHOOK_URL"), setting("ACQUIRER_TPAY_WEBHOOK_SECRET"))


# --- authentication -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Caller:
    """The merchant, the run named by the MerchantID, and the request's fields."""

    merchant: str
    run: str
    sent: dict[str, str]


def _caller() -> Caller:
    """The caller, authenticated by MerchantID and CheckMacValue."""
    sent = wire.read_form(request.get_data())
    named, _, run = sent.get("MerchantID", "").partition(".")
    if not hmac.compare_digest(named.encode(), setting("ACQUIRER_TPAY_MERCHANT_ID").encode()):
        raise no(STRANGER)
    if wire.TRADE_NO.fullmatch(sent.get("MerchantTradeNo", "")):
        g.tpay_about = {"MerchantTradeNo": sent["MerchantTradeNo"]}
    if not wire.is_sealed(sent, *hash_pair()):
        raise no("10200073")
    return Caller(MERCHANT, clock.enter_run(run), sent)


def _api_caller() -> Caller:
    """The caller of a server-to-server call, which carries a wall-clock timestamp."""
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
    """The trade with this number, and whether it is new. Locks the run's row, so that concurrent requests are
    serialised.
    """
    locked = update(Run).where(Run.name == caller.run).values(payment_seq=Run.payment_seq)
    db.session.execute(locked.execution_options(synchronize_session=False))
    known = _known(caller, session.reference)
    return (known, False) if known else (engine.open_session(session), True)


# --- the cashier ------------------------------------------------------------------------------------------------------


@bp.post("/cashier/checkout")
def checkout() -> Response:
    """Open a trade from the browser's form. The same fields lead to the same cashier page while unpaid."""
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
    """The existing trade with this number. Refuses other fields, and a trade that has ended."""
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
    """A web address, or an empty string."""
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


# --- server-to-server calls -----------------------------------------------------------------------------------------


def _answer(answer: calls.Answer) -> Response:
    if answer.body is None:
        return Response("", answer.status, content_type="text/plain")
    return Response(answer.body, answer.status, answer.headers, content_type=wire.FORM)


def _fine(fields: dict[str, str]) -> calls.Effect:
    return calls.Effect(200, wire.sealed({"RtnCode": OK, "RtnMsg": wire.RESULTS[OK]} | fields, *hash_pair()))


def _as_of(payment: Payment) -> datetime:
    return clock.now(payment.run) - timedelta(seconds=setting("ACQUIRER_TPAY_QUERY_LAG"))


@bp.post("/query")
def query() -> Response:
    """The trade's state some seconds ago."""
    caller = _api_caller()
    payment = _known(caller, wire.number(caller.sent, "MerchantTradeNo"))

    def doing(shows: str) -> calls.Effect:
        if payment is None or shows == "nothing" or payment.created_at > _as_of(payment):
            raise no("10200047")
        return _fine(trade(payment, _as_of(payment), as_created=shows == "created"))

    return _answer(calls.perform(calls.Call(NAME, "query", caller.run, payment), doing))


@bp.post("/cancel")
def cancel() -> Response:
    """Cancel: an open trade ends, and an unused number is blocked so that the cashier refuses it later."""
    caller = _api_caller()
    reference = wire.number(caller.sent, "MerchantTradeNo")
    known = _known(caller, reference)

    def doing(_: str) -> calls.Effect:
        _end_trade(_claim(caller, _unseen(caller, reference))[0])
        return _fine({"MerchantTradeNo": reference})

    return _answer(calls.perform(calls.Call(NAME, "cancel", caller.run, known), doing))


def _unseen(caller: Caller, reference: str) -> engine.Session:
    """An empty document for a number without a trade."""
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
    """Create a refund. Until 20:00 a full reversal is a void; the query shows the result."""
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
    """The capture with this number; by default the first with a remaining amount, else the first."""
    mine = [one for one in payment.captures if named in ("", charge_no(one))]
    if not mine:
        raise no("10200091")
    return next((one for one in mine if refunds.left(one) > 0), mine[0])


def _way_back(payment: Payment, capture: Capture, amount: int) -> tuple[str, timedelta]:
    """(Void or Refund, its duration): until 20:00 a full reversal is a void, and a partial refund waits for 20:00."""
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
        return engine.refund(payment, amount, reference, capture_id=capture.id, wait=wait, wire={"RefundType": kind})
    except Refused as refused:
        raise no("10200090" if refused.status == 422 else "10200091") from refused


# --- webhooks and errors ----------------------------------------------------------------------------------------------


def event_body(payment: Payment, kind: str, event_id: str, moment: datetime) -> tuple[str, str] | None:
    """tpay's webhook: for captures, for an issued store payment code, and for a simulated payment on request."""
    if kind == "payment.requires_action" and payment.method == "store":
        return wire.FORM, wire.sealed(code_notice(payment), *hash_pair())
    makes: dict[str, Callable[[], Capture | None]] = {
        "payment.captured": lambda: payment.captures[-1],
        "payment.simulated": lambda: None,
    }
    if kind not in makes:
        return None
    return wire.FORM, wire.sealed(notice(payment, makes[kind]()), *hash_pair())


def x_signature(keys: list[str], event_id: str, at: datetime, body: bytes) -> Signed:
    """`X-Signature`: hex HMAC-SHA256 of the raw body by each valid secret, separated by commas. No id, no time.

    From the second attempt on, RtnMsg states that it is a retry, so the body differs.
    """
    made = attempts_made(event_id)
    if made:
        fields = wire.read_form(body)
        body = wire.sealed(fields | {"RtnMsg": f"{fields['RtnMsg']} (notice {made + 1})"}, *hash_pair()).encode()
    macs = [hmac.new(key.encode(), body, hashlib.sha256).hexdigest() for key in keys]
    return Signed({"x-signature": ",".join(macs)}, body, body.decode("utf-8", "replace"))


def refuse(refused: Refused) -> Response:
    """An error with HTTP 200 and a RtnCode; an HTML page at the cashier.

    Signed as a success is, with the trade number; an unauthenticated caller has no shared key, so its error is
    unsigned.
    """
    code = refused.code if refused.code in wire.RESULTS else "10200099" if refused.status >= 429 else "10200052"
    of_the_web = refused.status in (404, 405, 408, 413, 429) or refused.status >= 500 or refused.code == "bad_request"
    status = refused.status if of_the_web else 200
    if request.path.startswith(CASHIER):
        return _page(status, code, refused.message, refused.headers)
    fields = {"RtnCode": code, "RtnMsg": refused.message} | g.get("tpay_about", {})
    body = urlencode(fields) if code == STRANGER else wire.sealed(fields, *hash_pair())
    return Response(body, status, refused.headers, content_type=wire.FORM)


def _page(status: int, code: str, sentence: str, headers: Any = None) -> Response:
    """An HTML error page, with a link back when a signed form gave a return address."""
    back = g.get("tpay_back", "")
    try:
        back = back and targets.origin_of(back) and back
    except ValueError:
        back = ""
    language.use(request.form.get("Language", "")[:20])
    page = render_template("mock_acquirer/store_refused.html", brand="Tpay", code=code, sentence=sentence, back=back)
    return guards.add_headers(make_response(page, status, headers or {}))


def methods(payment: Payment) -> tuple[str, ...]:
    """The payment methods that the merchant offers for this trade."""
    return METHODS[payment.wire.get("ChoosePayment", "ALL")]


DIALECT = Dialect(
    name=NAME,
    title="Tpay",
    prefix=PREFIX + "/",
    settings=SETTINGS,
    blueprint=bp,
    merchant=merchant,
    event_body=event_body,
    tells=("payment.captured", "payment.simulated"),
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
