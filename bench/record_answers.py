"""Record the mock acquirer's responses to each adapter for `fuzz_providers`: `python -m bench.record_answers`.

Writes `bench/provider_answers.json`. Run it again when a dialect or an adapter changes its format.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from flask_migrate import upgrade

import mock_acquirer
from shop import settings
from shop.core import ids
from shop.core.money import Money
from shop.payments.providers import registry
from shop.payments.providers.interface import Found, PaymentProvider, PaymentRequest, RefundRequest, Started
from tests.parts.waiting import until
from tests.real_acquirer_fixtures import QUIET, RealAcquirer, WebhookReceiver, listening

WHERE = Path(__file__).parent / "provider_answers.json"
PAGES = "https://pay.example"
"""Origin of the acquirer's pages in the recording."""
_KEPT_HEADERS = ("content-type", "retry-after")


class Recorder:
    """An adapter that talks to the mock acquirer, and the responses to each operation."""

    def __init__(self, name: str, acquirer: RealAcquirer, receiver: WebhookReceiver) -> None:
        self.acquirer, self.receiver, self._answers = acquirer, receiver, list[list[Any]]()
        self.operations: dict[str, dict[str, Any]] = {}
        adapter = registry.classes()[name]
        where = {"ACQUIRER_URL": acquirer.url, "ACQUIRER_PUBLIC_URL": acquirer.url, "SETTLED_ENV": "development"}
        self._http = httpx.Client(trust_env=False, event_hooks={"response": [self._keep]})
        config = settings.read(adapter.SETTINGS, {"SETTLED_ENV": "development"}) | where
        self.provider: PaymentProvider = adapter(config, lambda: self._http)
        self.money = Money(5600, "JPY") if name == "paypay" else Money(120000, "TWD")

    def _keep(self, answer: httpx.Response) -> None:
        answer.read()
        headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
        self._answers.append([answer.status_code, headers, self._named(answer.text)])

    def _named(self, text: str) -> str:
        return text.replace(self.acquirer.url, PAGES)

    def note(self, name: str, do: Callable[[], Any], payment: PaymentRequest, refund: RefundRequest | None) -> Any:
        """Perform the operation; record request, responses and outcome."""
        self._answers.clear()
        found = do()
        requested: dict[str, Any] = {"id": payment.id, "amount": self.money.amount, "currency": self.money.currency}
        requested["provider_data"] = dict(payment.provider_data)
        if refund:
            requested["refund"] = {"id": refund.id, "amount": refund.money.amount, "capture": refund.capture_id}
        entry = {"asked": requested, "answers": list(self._answers), "means": type(found).__name__}
        self.operations[name] = entry
        return found

    def fresh(self) -> PaymentRequest:
        at = datetime.now(UTC)
        return PaymentRequest(ids.payment_id(), self.money, "Settled order 1", "en", at + timedelta(minutes=30), {}, at)

    def start(self, payment: PaymentRequest) -> Started:
        started = self.provider.start(payment, "http://shop.example/return", f"{self.receiver.url}/webhooks")
        assert isinstance(started, Started), started  # noqa: S101
        if started.action.kind == "form_post":
            httpx.post(started.action.url, data=dict(started.action.fields), trust_env=False)
        return started

    def opened(self) -> PaymentRequest:
        payment = self.fresh()
        return replace(payment, provider_data=self.start(payment).provider_data)

    def query(self, name: str, payment: PaymentRequest) -> Any:
        return self.note(f"query {name}", lambda: self.provider.query(payment), payment, None)

    def cancel(self, name: str, payment: PaymentRequest) -> None:
        self.note(f"cancel {name}", lambda: self.provider.cancel(payment), payment, None)

    def record(self) -> None:
        """Record every operation, both successful and refused."""
        payment = self.fresh()
        self.note("start new", lambda: self.start(payment), payment, None)
        payment = self.opened()
        self.query("open", payment)
        self.query("by our id", replace(payment, provider_data={}))
        self.query("unknown", self.fresh())
        self.cancel("open", payment)
        self.query("cancelled", payment)
        self.cancel("by our id", replace(self.opened(), provider_data={}))
        self._money()
        if self.provider.NAME == "tpay":
            payment = self.opened()
            self.acquirer.act(payment.id, "choose_store")
            self.query("store code", payment)
        day = datetime.now(self.provider.capabilities.settles_in).date()
        self.note("settlement_file today", lambda: self.provider.settlement_file(day), payment, None)

    def _money(self) -> None:
        payment = self.opened()
        self.acquirer.act(payment.id, "decline", code="insufficient_funds")
        self.query("declined", payment)
        self.acquirer.approve(payment.id)
        found = self.query("captured", payment)
        assert isinstance(found, Found), found  # noqa: S101
        payment = replace(payment, provider_data={**payment.provider_data, **found.facts.provider_data})
        self.cancel("captured", payment)
        capture = found.facts.captures[0]
        refund = RefundRequest(ids.refund_id(), Money(1000, self.money.currency), capture.id, "broken")
        for name, fields in {
            "whole": refund,
            "too much": replace(refund, id=ids.refund_id(), money=Money(900_000, self.money.currency)),
        }.items():
            self.note(f"refund {name}", lambda fields=fields: self.provider.refund(payment, fields), payment, fields)  # type: ignore[misc]
        other = replace(refund, id=ids.refund_id())
        for name, fields in {"known": refund, "unknown": other}.items():
            self.note(
                f"query_refund {name}",
                lambda fields=fields: self.provider.query_refund(payment, fields),
                payment,
                fields,
            )  # type: ignore[misc]

    def file(self) -> bytes:
        """The settlement file of today, from the control API."""
        day = datetime.now(self.provider.capabilities.settles_in).date()
        path = f"{self.acquirer.url}/_sim/settlement/{self.provider.NAME}/{day}"
        return httpx.get(path, headers={"Authorization": "Bearer sim_tests"}, trust_env=False).content


def main() -> None:
    """Start an acquirer, record every adapter, write the file."""
    recorded: dict[str, Any] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="settled-record-")))
        app = mock_acquirer.create_app(QUIET | {"ACQUIRER_DATABASE_URL": f"sqlite:///{folder}/acquirer.db"})
        with app.app_context():
            upgrade()
        receiver = stack.enter_context(listening())
        hooks = f"{receiver.url}/webhooks"
        acquirer = RealAcquirer(
            folder / "acquirer.db",
            ACQUIRER_WEBHOOK_TARGETS=receiver.url,
            ACQUIRER_STRIPE_WEBHOOK_URL=hooks,
            ACQUIRER_PAYPAY_WEBHOOK_URL=hooks,
            ACQUIRER_PAYPAY_QUERIES_PER_SECOND="0",
            ACQUIRER_TPAY_QUERY_LAG="0",
        )
        stack.callback(acquirer.close)
        for name in registry.classes():
            receiver.received.clear()
            recorder = Recorder(name, acquirer, receiver)
            recorder.record()
            until(lambda: receiver.received, what="a webhook")
            acquirer.advance("PT1S")
            webhooks = [recorder._named(body.decode()) for _, body in receiver.received]
            file = base64.b64encode(recorder.file()).decode()
            recorded[name] = {"operations": recorder.operations, "webhooks": webhooks, "file": file}
    WHERE.write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n")
    print(f"{WHERE.name}: " + ", ".join(f"{name} {len(one['operations'])}" for name, one in recorded.items()))


if __name__ == "__main__":
    main()
