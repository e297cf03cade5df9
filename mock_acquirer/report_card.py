"""Receiver report card: sends valid, forged, duplicate, late and malformed webhooks to one address and lists the
receiver's mistakes.

Its payment lives in its own run, so a receiver does not know it; the receiver must still acknowledge, since
an acquirer would only retry. With a payment that the receiver knows, the card also checks that an unsigned or
replayable hint makes the receiver query.
"""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import httpx
from flask import current_app

from mock_acquirer import (
    cards,
    clock,
    courier,
    dialect_interface,
    engine,
    faults,
    outgoing,
    plans,
    signing,
    states,
    targets,
    timeline,
    trust,
)
from mock_acquirer.db import release
from mock_acquirer.dialect_interface import Dialect
from mock_acquirer.errors import conflict, invalid, not_found
from mock_acquirer.models import Payment, new_id
from mock_acquirer.times import wall_now

AGENT = f"{courier.AGENT} (report card)"
"""Identifies the report card in the receiver's log."""
ASKS_WITHIN = 10.0
LATE = timedelta(days=3)
HUGE = 1_000_000
OTHER_EVENTS = ("payment.requires_action", "payment.authorized", "payment.declined", "payment.expired")
CURRENCIES = {"tpay": "TWD", "paypay": "JPY"}
TIMED = {"stale_time": ("kpay", "stripe"), "future_time": ("kpay",)}
WORDS: dict[str, Callable[[str], dict[str, str]]] = {
    # request fields that the dialect's documents need
    "tpay": lambda _: {"MerchantID": dialect_interface.setting("ACQUIRER_TPAY_MERCHANT_ID")},
    "stripe": lambda reference: {"client_reference_id": reference},
}
HINTS = ("tpay", "paypay")
"""Dialects whose webhooks prove nothing: replayable or unsigned."""


@dataclass(frozen=True)
class Letter:
    """A webhook request."""

    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """The receiver's response; status 0 means none."""

    status: int
    text: str
    ms: int

    def __str__(self) -> str:
        return f"{self.status} in {self.ms} ms" if self.status else f"No answer ({self.text}) in {self.ms} ms"


@dataclass(frozen=True)
class Subject:
    """Subject of the cases: one event of one payment."""

    dialect: Dialect
    payment: Payment
    event_id: str
    happened_at: datetime

    def letter(self, kind: str = "payment.captured", bend: str | None = None, **more: Any) -> Letter | None:
        """The event, signed at the current wall time; None when this dialect sends none for it.

        `more`: `age` (how long ago it happened), `event_id`, or `body`, which replaces the event and gets a valid
        signature.
        """
        event_id, moment = more.get("event_id", self.event_id), self.happened_at - more.get("age", timedelta())
        rendered = self.dialect.event_body(self.payment, kind, event_id, moment)
        if rendered is None:
            return None
        content_type, text = rendered
        secret = self.dialect.merchant(self.payment.merchant).secret
        keys = signing.valid_keys(self.payment.run, self.dialect.name, self.payment.merchant, secret)
        body = more.get("body", text.encode())
        signer, header = self.dialect.sign, self.dialect.signature_header
        signed = signing.sign(signer, header, keys, event_id, wall_now(), body, bend)
        return Letter({"content-type": content_type, "user-agent": AGENT} | signed.headers, signed.body)


Judge = Callable[[Subject, Reply], str]  # the mistake in the reply, as a sentence; empty when it is right


def taken(problem: str) -> Judge:
    """The receiver must acknowledge the delivery as the dialect requires, and in time."""

    def judge(subject: Subject, reply: Reply) -> str:
        if 300 <= reply.status < 400:
            return f"{problem} was answered with a redirect ({reply.status}). Acquirers do not follow redirects."
        if not reply.status:
            return f"{problem}: no answer ({reply.text})."
        if not subject.dialect.acknowledged(reply.status, reply.text):
            detail = f"{reply.status} and {reply.text[:40]!r}" if reply.status == 200 else str(reply.status)
            return (
                f"{problem} was answered {detail}, which is not an acknowledgement. The acquirer would keep retrying."
            )
        longest = round(subject.dialect.ack_within * 1000)
        if reply.ms > longest:
            gives_up = f"{subject.dialect.title} gives up after {longest}"
            return f"{problem} was acknowledged after {reply.ms} ms; {gives_up}."
        return ""

    return judge


def refused(problem: str) -> Judge:
    """The delivery proves nothing and must get a 4xx."""

    def judge(_: Subject, reply: Reply) -> str:
        if 400 <= reply.status < 500:
            return ""
        if 200 <= reply.status < 300:
            return f"{problem} was accepted ({reply.status}). Anyone could mark an order as paid."
        if not reply.status:
            return f"{problem}: no answer ({reply.text}). Answer with a 4xx status, so that it is not retried."
        return f"{problem} was answered {reply}. Answer with a 4xx status, so that it is not retried."

    return judge


def survived(problem: str) -> Judge:
    """The delivery must not cause a server error."""

    def judge(_: Subject, reply: Reply) -> str:
        if reply.status >= 500:
            return f"{problem} caused an error in the receiver ({reply.status}). Answer with a 4xx status."
        return f"{problem} was answered with a redirect ({reply.status})." if 300 <= reply.status < 400 else ""

    return judge


@dataclass(frozen=True)
class Case:
    """A test case: the request (`copies` at once) and the judgement of the reply. Skipped without a request."""

    name: str
    sent: str
    make: Callable[[Subject], Letter | None]
    judge: Judge
    copies: int = 1


def _bent(bend: str) -> Callable[[Subject], Letter | None]:
    def make(subject: Subject) -> Letter | None:
        if not subject.dialect.signature_header or subject.dialect.name not in TIMED.get(bend, (subject.dialect.name,)):
            return None
        return subject.letter(bend=bend)

    return make


def _other_event(subject: Subject) -> Letter | None:
    """An earlier event that arrives after the last one."""
    letters = (subject.letter(kind, age=timedelta(minutes=1), event_id=new_id("evt")) for kind in OTHER_EVENTS)
    return next((letter for letter in letters if letter is not None), None)


def _late(subject: Subject) -> Letter | None:
    return subject.letter(age=LATE, event_id=new_id("evt"))


def _unknown_type(subject: Subject) -> Letter | None:
    event_id = new_id("evt")
    good = subject.letter(event_id=event_id)
    found = good and re.search(rb'"type":\s*"([a-z_.]+)"', good.body)
    if not (good and found):
        return None
    body = good.body.replace(found[0], b'"type":"something.unheard_of"', 1)
    return subject.letter(body=body, event_id=event_id)


def _body(make: Callable[[bytes], bytes]) -> Callable[[Subject], Letter | None]:
    def letter(subject: Subject) -> Letter | None:
        event_id = new_id("evt")
        good = subject.letter(event_id=event_id)
        return subject.letter(body=make(good.body), event_id=event_id) if good else None

    return letter


def _other_content(subject: Subject) -> Letter | None:
    good = subject.letter()
    return replace(good, headers=good.headers | {"content-type": "image/png"}) if good else None


CASES: tuple[Case, ...] = (
    Case("good", "A valid delivery", Subject.letter, taken("A valid delivery")),
    Case("duplicate", "The same delivery again", Subject.letter, taken("A duplicate")),
    Case("at_once", "Five copies at the same time", Subject.letter, taken("One of five copies at once"), copies=5),
    Case("late", "A delivery three days late", _late, taken("A late delivery")),
    Case("reordered", "An older event after the last one", _other_event, taken("An older event after the last one")),
    Case("unknown_type", "An unknown event type", _unknown_type, taken("An unknown event type")),
    Case("no_signature", "No signature", _bent("missing"), refused("A delivery without a signature")),
    Case("wrong_key", "Another merchant's key", _bent("wrong_key"), refused("A delivery signed with another key")),
    Case("old_key", "An expired key", _bent("old_key"), refused("A delivery signed with an expired key")),
    Case("malformed_signature", "A malformed signature", _bent("malformed"), refused("A malformed signature")),
    Case("tampered", "A body changed after signing", _bent("tampered"), refused("A tampered body")),
    Case("stale_time", "Signed ten minutes ago", _bent("stale_time"), refused("A delivery signed ten minutes ago")),
    Case(
        "future_time", "Signed ten minutes ahead", _bent("future_time"), refused("A delivery signed ten minutes ahead")
    ),
    Case("malformed", "A malformed body", _body(lambda _: b'{"id": '), survived("A malformed body")),
    Case("truncated", "Half of a body", _body(lambda body: body[: len(body) // 2]), survived("Half of a body")),
    Case("empty", "An empty body", _body(lambda _: b""), survived("An empty body")),
    Case(
        "not_utf8",
        "A body that is not UTF-8",
        _body(lambda _: b"\xff\xfe\x00\x80"),
        survived("A body that is not UTF-8"),
    ),
    Case(
        "not_an_object",
        "A list instead of an object",
        _body(lambda _: b"[[],[]]"),
        survived("A list instead of an object"),
    ),
    Case("huge", "A body of one megabyte", _body(lambda _: b"x" * HUGE), survived("A body of one megabyte")),
    Case("content_type", "A wrong content type", _other_content, survived("A wrong content type")),
)


def run(name: str, url: str, payment: Payment | None = None) -> dict[str, Any]:
    """Send every case of the dialect to the address and judge the replies. Refuses (422) an address that is not
    allowed.

    An open `payment` of the receiver is paid, and its webhooks are sent by the card alone.
    """
    dialect = dialect_interface.every().get(name)
    if dialect is None:
        raise not_found("The dialects are " + ", ".join(dialect_interface.every()) + ".")
    if not targets.is_allowed(url):
        raise invalid("url", "Webhooks may only go to the origins listed in ACQUIRER_WEBHOOK_TARGETS.")
    known = payment is not None
    if payment is not None and payment.dialect != name:
        raise conflict("other_dialect", f"This payment belongs to {payment.dialect}.")
    about = _paid(payment) if payment is not None else _made_up(dialect)
    subject = Subject(dialect, about, new_id("evt"), clock.now(about.run))
    mark = len(timeline.of(about))
    checks = [check for case in CASES for check in _try(case, subject, url)]
    checks.append(_asked(subject, known, mark))
    findings = [check["finding"] for check in checks if check["verdict"] == "wrong"]
    return {"dialect": name, "url": url, "clean": not findings, "findings": findings, "checks": checks}


def _made_up(dialect: Dialect) -> Payment:
    """A captured payment in its own run, without webhooks."""
    run_name = clock.enter_run(f"report_{secrets.token_hex(6)}")
    reference = f"RC{secrets.token_hex(7).upper()}"
    session = engine.Session(
        run=run_name,
        dialect=dialect.name,
        merchant="demo",
        reference=reference,
        amount=120000,
        currency=CURRENCIES.get(dialect.name, "TWD"),
        return_url="",
        webhook_url="",
        expires_at=engine.default_end(run_name, 3600),
        wire=WORDS.get(dialect.name, lambda _: {})(reference),
    )
    made = engine.open_session(session)
    engine.pay(made, cards.WALLET if dialect.wallet else cards.CARDS[0])
    return made


def _paid(payment: Payment) -> Payment:
    """The receiver's own payment, paid; its usual webhooks are dropped, so that only the card's arrive."""
    if payment.state in states.OPEN:
        faults.arm(payment.run, "payment", payment.id, {"hook": {"drop": plans.MOST}})
        engine.pay(payment, cards.WALLET if dialect_interface.named(payment.dialect).wallet else cards.CARDS[0])
    if payment.state != "captured":
        raise conflict(f"already_{payment.state}", f"The payment is {payment.state}; name an open or a captured one.")
    timeline.note(payment, "control", "Receiver report card run with this payment")
    return payment


def _try(case: Case, subject: Subject, url: str) -> Iterator[dict[str, Any]]:
    letter = case.make(subject)
    if letter is None:
        return
    release()
    replies = _post_all(url, letter, case.copies)
    judged = [(case.judge(subject, reply), reply) for reply in replies]
    finding, reply = next(((said, reply) for said, reply in judged if said), judged[0])
    verdict = "wrong" if finding else "right"
    yield {"name": case.name, "sent": case.sent, "answered": str(reply), "verdict": verdict, "finding": finding}


def _post_all(url: str, letter: Letter, copies: int) -> list[Reply]:
    app: Any = current_app._get_current_object()  # type: ignore[attr-defined]

    def post(_: int) -> Reply:
        with app.app_context():
            return _post(url, letter)

    if copies == 1:
        return [_post(url, letter)]
    with ThreadPoolExecutor(copies) as pool:
        return list(pool.map(post, range(copies)))


def _post(url: str, letter: Letter) -> Reply:
    """Post as the courier does: checked address, no redirects, bounded response."""
    began = time.monotonic()
    try:
        way = targets.way_to(url)
        answered = outgoing.post(current_app.extensions["acquirer.http"], way, letter.headers, letter.body)
        return Reply(answered.status, answered.text, answered.milliseconds)
    except (httpx.HTTPError, ValueError) as failed:
        return Reply(0, trust.failure(failed), outgoing.since(began))


def _asked(subject: Subject, known: bool, mark: int) -> dict[str, Any]:
    """Mistake if a hint that proves nothing did not make the receiver query."""
    check = {"name": "asks", "sent": "An unproven notification", "answered": "", "verdict": "skipped", "finding": ""}
    if subject.dialect.name not in HINTS:
        return check | {"answered": "Not tried: this dialect's signature is proof enough"}
    if not known:
        return check | {"answered": "Not tried: name a payment that the receiver knows"}
    until = time.monotonic() + ASKS_WITHIN
    for _ in itertools.count():
        lines = timeline.of(subject.payment)[mark:]
        if any(line.kind == "call" and line.text.startswith("query") for line in lines):
            return check | {"answered": "Queried the payment", "verdict": "right"}
        if time.monotonic() > until:
            break
        release()
        time.sleep(0.1)
    finding = f"The receiver did not query the payment within {ASKS_WITHIN:.0f} s of an unproven notification."
    return check | {"answered": "No query", "verdict": "wrong", "finding": finding}


def read(sent: dict[str, Any]) -> tuple[str, str]:
    """(dialect, url) of a request. Refuses with 422."""
    for name in ("dialect", "url"):
        if not isinstance(sent.get(name), str) or not sent[name]:
            raise invalid(name, 'Send {"dialect": "kpay", "url": "http://localhost:8000/webhooks/kpay"}.')
    return sent["dialect"], sent["url"]
