"""Fuzz test of the adapters with mutated responses: `python -m bench.fuzz_providers --cases 20000 --seed 1`.

Whatever an adapter receives, it may return only the outcomes of `shop/payments/providers/interface.py`, quickly, and
with values that can be stored and shown. The responses are those of `provider_answers.json`; `--only N` repeats one
case.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import structlog
from standardwebhooks import Webhook

from bench import mutations
from shop import settings
from shop.core import http_client
from shop.core.money import Money
from shop.payments.providers import interface as manual
from shop.payments.providers import registry
from shop.payments.providers.interface import (
    BadSignature,
    PaymentProvider,
    PaymentRequest,
    RefundRequest,
    SettlementLine,
    WebhookEvent,
)
from shop.payments.providers.storable import Malformed
from shop.payments.providers.tpay import check_mac

RECORDED = Path(__file__).parent / "provider_answers.json"
DECLARED: dict[str, tuple[type, ...]] = {
    "start": (manual.Started, manual.Rejected, manual.Unknown, manual.Unavailable),
    "query": (manual.Found, manual.NotFound, manual.Unavailable),
    "cancel": (manual.Done, manual.Pending, manual.Rejected, manual.Unknown),
    "refund": (manual.Done, manual.Pending, manual.Rejected, manual.Unknown, manual.Unavailable),
    "query_refund": (manual.Done, manual.Pending, manual.Rejected, manual.NotFound, manual.Unavailable),
    "settlement_file": (bytes, manual.Unavailable, type(None)),
}
"""Outcomes that the interface allows for each operation."""
SLOW = 1.0  # seconds of CPU time, independent of other load
MOST_CALLS = 60
UNTOUCHED = 0.04
"""The share of cases without a mutation: the adapter must understand those."""
SECRETS = {
    "KPAY_WEBHOOK_SECRET": "whsec_" + base64.b64encode(b"the secret of this bench....").decode(),
    "STRIPE_WEBHOOK_SECRET": "whsec_of_this_bench",
    "TPAY_WEBHOOK_SECRET": "tpay_of_this_bench",
    "TPAY_HASH_KEY": "pwFHCqoQZGmho4w6",
    "TPAY_HASH_IV": "EkRm7iFT261dpevs",
}


@dataclass(frozen=True)
class Case:
    """A recorded operation, a webhook, or a settlement file."""

    provider: str
    what: str
    recorded: Any


class Wrong(Exception):
    """An adapter violated the interface."""


def cases() -> list[Case]:
    """All recorded cases."""
    found = []
    for name, recorded in json.loads(RECORDED.read_text()).items():
        found += [Case(name, what, one) for what, one in recorded["operations"].items()]
        found += [Case(name, "webhook", one) for one in recorded["webhooks"]]
        found.append(Case(name, "settlement", recorded["file"]))
    return found


class World:
    """All adapters over the shop's HTTP client and a transport that returns the case's responses."""

    def __init__(self) -> None:
        self.answers: Iterator[mutations.Response | httpx.TransportError] = iter(())
        transport = http_client.Guard(httpx.MockTransport(self._answer), http_client.Bounds(5.0))
        client = http_client.guarded(transport, read=5.0, connect=1.0)
        where = {"ACQUIRER_URL": "http://acquirer.example", "ACQUIRER_PUBLIC_URL": "https://pay.example"}
        self.providers: dict[str, PaymentProvider] = {}
        for name, adapter in registry.classes().items():
            config = settings.read(adapter.SETTINGS, {"SETTLED_ENV": "development", **SECRETS}) | where
            self.providers[name] = adapter(config, lambda: client)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if not str(request.url).startswith("http://acquirer.example/"):
            raise Wrong(f"a call to {request.url}")
        answer = next(self.answers, None)
        if answer is None:
            raise Wrong("calls without end")
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer.as_response()


def run(count: int, seed: int, only: int | None = None, progress: Callable[[int], None] = lambda _: None) -> Result:
    """Try `count` cases, or the one with the number `only`."""
    world, known, result = World(), cases(), Result()
    with _quiet():
        for number in range(count) if only is None else [only]:
            chance = Random(f"{seed}:{number}")  # noqa: S311 - repeatable, and nothing secret
            case = known[number % len(known)]
            began = time.process_time()
            try:
                outcome = _try(world, case, chance)
                if time.process_time() - began > SLOW:
                    raise Wrong(f"it took {time.process_time() - began:.1f} s")
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                outcome = "BROKEN"
                result.broken.append(
                    f"case {number} ({case.provider}, {case.what}): {type(error).__name__}: {error!s:.200}"
                )
            result.outcomes[case.provider, case.what.partition(" ")[0], outcome] += 1
            progress(number + 1)
    return result


class Result:
    """Counts of each outcome, and the failures."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str, str]] = Counter()
        self.broken: list[str] = []


def _try(world: World, case: Case, chance: Random) -> str:
    """The name of a case's outcome. Raises Wrong, or any exception of the adapter."""
    provider, untouched = world.providers[case.provider], chance.random() < UNTOUCHED
    if case.what == "webhook":
        return _webhook(provider, case.recorded, chance, untouched)
    if case.what == "settlement":
        return _settlement(provider, base64.b64decode(case.recorded), chance, untouched)
    world.answers = _sequence(provider, case.recorded["answers"], chance, untouched)
    operation = case.what.partition(" ")[0]
    outcome = _do(provider, operation, case.recorded["asked"])
    if not isinstance(outcome, DECLARED[operation]):
        raise Wrong(f"returned {type(outcome).__name__}")
    if untouched and type(outcome).__name__ != case.recorded["means"]:
        raise Wrong(f"a good answer was understood as {outcome!r:.200}")
    _check(provider, outcome)
    return type(outcome).__name__


def _do(provider: PaymentProvider, operation: str, requested: Mapping[str, Any]) -> Any:
    at = datetime.now(UTC)
    money = Money(requested["amount"], requested["currency"])
    known = requested["provider_data"]
    payment = PaymentRequest(requested["id"], money, "Settled order 1", "en", at + timedelta(minutes=30), known, at)
    if operation == "start":
        return provider.start(payment, "https://shop.example/return", "https://shop.example/webhooks")
    if operation == "settlement_file":
        return provider.settlement_file(at.date())
    if operation in ("query", "cancel"):
        return getattr(provider, operation)(payment)
    refund = requested["refund"]
    money = Money(refund["amount"], requested["currency"])
    return getattr(provider, operation)(payment, RefundRequest(refund["id"], money, refund["capture"], "broken"))


def _sequence(
    provider: PaymentProvider, recorded: list[Any], chance: Random, untouched: bool
) -> Iterator[mutations.Response | httpx.TransportError]:
    """The recorded responses with one of them mutated, then the last one repeated: a paged list may never end."""
    answers = [mutations.Response(status, headers, body.encode()) for status, headers, body in recorded]
    if not answers:
        return
    at = chance.randrange(len(answers))
    for number in range(MOST_CALLS):
        one = answers[min(number, len(answers) - 1)]
        if untouched or (number < len(answers) and number != at):
            yield one
            continue
        changed = mutations.answer(chance, one)
        if provider.NAME == "tpay" and isinstance(changed, mutations.Response) and chance.random() < 0.8:
            changed = mutations.Response(changed.status, changed.headers, _sealed(changed.body))
        yield changed


def _sealed(body: bytes) -> bytes:
    """The form with a valid CheckMacValue, as a hostile acquirer could write it; anything but a form is unchanged."""
    try:
        fields = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict"))
    except ValueError:
        return body
    fields["CheckMacValue"] = check_mac(fields, SECRETS["TPAY_HASH_KEY"], SECRETS["TPAY_HASH_IV"])
    return urlencode(fields).encode()


# --- webhooks and files ----------------------------------------------------------------------------------------------


def _webhook(provider: PaymentProvider, recorded: str, chance: Random, untouched: bool) -> str:
    raw = recorded.encode()
    if not untouched:
        raw = chance.choice((mutations.content, mutations.content, mutations.bytes_of))(chance, raw)
    headers, raw = _signed(provider.NAME, raw) if untouched or chance.random() < 0.9 else (_noise(chance), raw)
    try:
        notices = provider.read_webhook(headers, raw)
    except (BadSignature, Malformed) as refused:
        if untouched:
            raise Wrong(f"a good webhook was refused: {refused}") from refused
        return type(refused).__name__
    if not all(isinstance(notice, WebhookEvent) for notice in notices):
        raise Wrong("not a notice")
    _check(provider, notices)
    return "WebhookEvent"


def _signed(name: str, raw: bytes) -> tuple[dict[str, str], bytes]:
    """Headers and body, signed as the acquirer signs."""
    at = datetime.now(UTC)
    if name == "kpay":
        event = _id_in(raw)
        text = raw.decode("utf-8", "replace")
        signature = Webhook(SECRETS["KPAY_WEBHOOK_SECRET"]).sign(event, at, text)
        stamp = str(int(at.timestamp()))
        return {"webhook-id": event, "webhook-timestamp": stamp, "webhook-signature": signature}, text.encode()
    if name == "stripe":
        stamp = int(at.timestamp())
        key = SECRETS["STRIPE_WEBHOOK_SECRET"].encode()
        mac = hmac.new(key, f"{stamp}.".encode() + raw, hashlib.sha256).hexdigest()
        return {"stripe-signature": f"t={stamp},v1={mac}"}, raw
    if name == "tpay":
        raw = _sealed(raw)
        mac = hmac.new(SECRETS["TPAY_WEBHOOK_SECRET"].encode(), raw, hashlib.sha256).hexdigest()
        return {"x-signature": mac}, raw
    return {}, raw


def _id_in(raw: bytes) -> str:
    try:
        found = json.loads(raw)["id"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return "evt"
    return found if isinstance(found, str) and found.isascii() and found else "evt"


def _noise(chance: Random) -> dict[str, str]:
    names = ("webhook-id", "webhook-timestamp", "webhook-signature", "stripe-signature", "x-signature")
    return {name: str(chance.choice(mutations.BAD_VALUES)) for name in names if chance.random() < 0.8}


def _settlement(provider: PaymentProvider, raw: bytes, chance: Random, untouched: bool) -> str:
    if not untouched:
        raw = chance.choice((mutations.content, mutations.content, mutations.bytes_of))(chance, raw)
    try:
        lines = provider.read_settlement(raw)
    except Malformed as refused:
        if untouched:
            raise Wrong(f"a good file was refused: {refused}") from refused
        return "Malformed"
    if not all(isinstance(line, SettlementLine) for line in lines):
        raise Wrong("not a line")
    _check(provider, lines)
    return "lines"


# --- allowed values -------------------------------------------------------------------------------------------------


def _check(provider: PaymentProvider, outcome: Any) -> None:
    """Raise Wrong for a value that no database can store, and for an address to which a browser must not be sent."""
    if isinstance(outcome, bytes):
        return
    for value in _all(outcome):
        if isinstance(value, manual.NextAction):
            if value.kind != "store_code" and not _is_ours(provider, value):
                raise Wrong(f"a browser would be sent to {value.url!r:.100}")
        elif isinstance(value, str):
            if len(value) > 2048 or "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
                raise Wrong(f"a text that cannot be kept: {value!a:.80}")
        elif isinstance(value, datetime):
            if value.tzinfo is None or not 1970 <= value.year <= 9000:
                raise Wrong(f"a time that cannot be kept: {value}")
        elif isinstance(value, float):
            if not 0 <= value <= 86_400:
                raise Wrong(f"a wait of {value} s")
        elif isinstance(value, int) and abs(value) > 2**53:
            raise Wrong("a number that cannot be kept")
        elif value is not None and not isinstance(value, int):
            raise Wrong(f"a {type(value).__name__} that cannot be kept")


def _is_ours(provider: PaymentProvider, action: manual.NextAction) -> bool:
    addresses = [action.url, *([action.fields["deeplink"]] if "deeplink" in action.fields else [])]
    return all(one.startswith("https://pay.example/") or one.startswith("paypay://") for one in addresses)


def _all(value: Any) -> Iterator[Any]:
    """The value and everything inside it."""
    if is_dataclass(value):
        if isinstance(value, manual.NextAction):
            yield value
        for one in fields(value):
            yield from _all(getattr(value, one.name))
    elif isinstance(value, Mapping):
        yield from _all([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _all(inner)
    else:
        yield value


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the adapters' logs: they log every unreadable response, which is nearly all of them here."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)


def _show(total: int, done: int) -> None:
    if done % max(1, total // 20) == 0:
        print(f"{done:>8} of {total} cases", file=sys.stderr, flush=True)


def main() -> int:
    """Run from the command line; 1 when any case failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, default=None, metavar="N", help="repeat this case alone")
    args = parser.parse_args()
    began = time.monotonic()
    result = run(args.cases, args.seed, args.only, partial(_show, args.cases))
    for (name, what, outcome), number in sorted(result.outcomes.items()):
        print(f"{name:8} {what:16} {outcome:14} {number:>7}")
    print(f"{sum(result.outcomes.values())} cases in {time.monotonic() - began:.0f} s, {len(result.broken)} broken")
    print("\n".join(result.broken[:20]))
    return 1 if result.broken else 0


if __name__ == "__main__":
    sys.exit(main())
