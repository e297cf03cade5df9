"""Client of the acquirer's control API."""

from __future__ import annotations

from typing import Any

import httpx

from e2e.demo import TOKEN, Demo


class Control:
    """Control of the demo's acquirer. `payment` is either side's id of one."""

    def __init__(self, demo: Demo) -> None:
        self._address, self._shop = demo.acquirer, demo.shop
        each_alone = httpx.Limits(max_keepalive_connections=0)  # a server may close an idle one just before its use
        self._client = httpx.Client(
            base_url=f"{demo.acquirer}/_sim",
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=60,
            limits=each_alone,
        )

    def faults(self, **plan: Any) -> None:
        """Replace the global fault plan; without arguments it is cleared."""
        self._send("PUT", "/faults", plan)

    def faults_of(self, payment: str, **plan: Any) -> None:
        """Replace the fault plan of one payment."""
        self._send("PUT", f"/payments/{payment}/faults", plan)

    def turn(self, by: str) -> None:
        """Advance both clocks by an ISO 8601 duration, delivering what falls due."""
        answer = self._send("POST", "/clock/advance", {"by": by})
        assert answer["shop_clock"] == "turned", answer

    def turn_alone(self, by: str) -> None:
        """Advance the acquirer's clock while the shop is down and cannot follow."""
        answer = self._send("POST", "/clock/advance", {"by": by})
        assert answer["shop_clock"] == "not_reached", answer

    def calm_down(self) -> None:
        """Disarm all faults, synchronise both clocks, and close the shop's circuit breakers."""
        self.faults()
        there = self._send("GET", "/clock")["now"]
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        answer = self._client.post(f"{self._shop}/dev/clock", json={"to": there}, headers=bearer)
        assert answer.status_code in (200, 409), answer.text  # 409: the shop's clock is slightly ahead
        self.turn("PT10S")

    def payment(self, payment: str) -> dict[str, Any]:
        """State, captures, timeline, deliveries and used faults of a payment."""
        return self._send("GET", f"/payments/{payment}")

    def with_reference(self, reference: str) -> list[dict[str, Any]]:
        """The payments that the shop's own API key finds under this reference."""
        answer = self._client.get(
            f"{self._address}/kpay/v1/payments",
            params={"reference": reference},
            headers={"Authorization": "Bearer kp_test_demo"},
        )
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    def approve(self, payment: str, **with_: Any) -> dict[str, Any]:
        """Pay as the customer, without returning to the shop."""
        return self._send("POST", f"/payments/{payment}/approve", with_)

    def act(self, payment: str, act: str, **with_: Any) -> dict[str, Any]:
        """Perform a customer action: decline, fail, cancel."""
        return self._send("POST", f"/payments/{payment}/{act}", with_)

    def resend(self, delivery: str, **hook: Any) -> dict[str, Any]:
        """Resend a delivery now, with the fault `hook`."""
        return self._send("POST", f"/deliveries/{delivery}/resend", {"hook": hook} if hook else {})

    def answers(self, payment: str) -> list[int]:
        """The shop's responses to the webhook attempts of the payment."""
        deliveries = self.payment(payment)["deliveries"]
        return [attempt["status"] for one in deliveries for attempt in one["attempts"] if attempt["status"]]

    def all_delivered(self, payment: str) -> bool:
        """True when every webhook of the payment has been delivered."""
        return all(one["state"] == "delivered" for one in self.payment(payment)["deliveries"])

    def expect(self, payment: str, event: str, **more: Any) -> dict[str, Any]:
        """Wait until the event was delivered to the shop. Raises AssertionError with what happened instead."""
        return self._send("POST", "/expect", {"payment": payment, "delivered": event, "within": "PT10S", **more})

    def day(self) -> str:
        """The business day of KPay, in UTC."""
        return str(self._send("GET", "/clock")["now"])[:10]

    def settlement(self, provider: str, day: str, discrepancies: int = 0) -> bytes:
        """The settlement file of a day, with differences if wanted."""
        answer = self._client.get(f"/settlement/{provider}/{day}", params={"discrepancies": discrepancies})
        assert answer.is_success, answer.text
        return answer.content

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self._client.request(method, path, json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        found: dict[str, Any] = answer.json()
        return found
