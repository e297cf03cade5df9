"""A process that dies between any two steps leaves nothing half done: whoever looks next resumes it or undoes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import pytest

from shop.checkout import cart, closing
from shop.core.db import db
from shop.core.tail import Tail
from shop.orders.models import Order
from shop.payments import registry
from tests.shop_fixtures import PEN, UNITS, Shop

Subject = TypeVar("Subject")


class Killed(BaseException):
    """kill -9, as far as one thread can feel it: nothing after it runs, nothing catches it."""


class Boundaries:
    """Counts the points between which a process can die: round every commit and round every call of the acquirer."""

    def __init__(self, deadly: int = 0) -> None:
        self.deadly, self.passed = deadly, 0

    def pass_one(self, *_: Any) -> None:
        self.passed += 1
        if self.passed == self.deadly:
            raise Killed


@contextmanager
def dying_at(boundaries: Boundaries) -> Iterator[None]:
    """The process dies at the chosen boundary."""
    provider: Any = registry.get("fakepay")

    def around(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            boundaries.pass_one()
            answer = call(*arguments)
            boundaries.pass_one()
            return answer

        return called

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tail, "commit", around(Tail.commit))
        for operation in ("start", "query", "cancel"):
            patch.setattr(provider, operation, around(getattr(provider, operation)))
        yield


def die_everywhere(
    shop: Shop, prepare: Callable[[], Subject], do: Callable[[Subject], Any], then: Callable[[Subject], None]
) -> int:
    """Prepare and do it again and again, dying one boundary later each time; `then` looks. Returns how many."""
    for deadly in range(1, 100):
        subject, boundaries = prepare(), Boundaries(deadly)
        with suppress(Killed), shop.app.app_context(), dying_at(boundaries):
            do(subject)
        for _ in range(2):  # for as long as any lease lasts, the next clock process looks
            shop.turn(seconds=31)
        then(subject)
        if boundaries.passed < deadly:
            return boundaries.passed
    raise AssertionError("it never came to an end")


def an_order(shop: Shop, provider: str = "fakepay") -> Order:
    shop.restock(PEN)
    return shop.order((PEN, 1), provider=provider)


def open_there(shop: Shop, order: Order) -> list[str]:
    """The order's payments that the acquirer would still take money for."""
    ours = [p.id for p in shop.payments(order)]
    return [ref for ref, remote in shop.acquirer.payments.items() if ref in ours and remote.state == "OPEN"]


def test_killed_between_any_two_steps_of_placing_an_order_it_is_there_as_a_whole_or_not_at_all(shop: Shop) -> None:
    """Case 24."""

    def filled_cart() -> tuple[str, str]:
        cart_id = shop.cart((PEN, 1))
        return cart_id, cart.load(cart_id).checkout_key

    def whole_or_not_at_all(subject: tuple[str, str]) -> None:
        cart_id, key = subject
        order = db.session.scalars(db.select(Order).where(Order.checkout_key == key)).one_or_none()
        if order is None:
            assert cart.count(cart_id) == 1
            assert shop.can_sell(PEN) == UNITS
            return
        assert shop.state(order) == "WAITING_PAYMENT"
        assert open_there(shop, order) == [p.id for p in shop.payments(order)]
        assert len(shop.payments(order)) == 1
        assert shop.place(cart_id, key=key).id == order.id, "pressing the button again shows it"
        shop.cancel(order)
        assert shop.can_sell(PEN) == UNITS

    boundaries = die_everywhere(
        shop, filled_cart, lambda subject: shop.place(subject[0], key=subject[1]), whole_or_not_at_all
    )
    assert boundaries >= 10, "placed, payment written, provider called, settled, done: before and after each"


def test_killed_in_the_middle_of_hearing_a_webhook_it_is_applied_once(shop: Shop) -> None:
    """Case 24: what was not acknowledged is sent again, what was stored is kept at."""

    def paid_there() -> tuple[Order, tuple[dict[str, str], bytes]]:
        order = an_order(shop)
        payment = shop.payment(order)
        shop.acquirer.capture(payment.id)
        return order, shop.acquirer.webhook(payment.id, f"evt-{payment.id}")

    def paid_once(subject: tuple[Order, tuple[dict[str, str], bytes]]) -> None:
        order, webhook = subject
        assert shop.receive(*webhook)[0] == 200
        assert shop.moves(order) == ["PENDING", "WAITING_PAYMENT", "PAID"]
        assert shop.captures(order) == ["paid"]

    boundaries = die_everywhere(shop, paid_there, lambda subject: shop.receive(*subject[1]), paid_once)
    assert boundaries == 2, "before and after it is stored and settled, in one unit"


def test_killed_while_it_asks_the_order_is_paid_by_the_next_who_asks(shop: Shop) -> None:
    """Case 24."""

    def paid_there() -> Order:
        order = an_order(shop)
        shop.acquirer.capture(shop.payment(order).id)
        shop.wait(seconds=11)
        return order

    def paid_once(order: Order) -> None:
        assert shop.captures(order) == ["paid"]

    assert die_everywhere(shop, paid_there, lambda _: shop.sweep(), paid_once) >= 6


def test_killed_while_an_order_expires_its_stock_is_released_once(shop: Shop) -> None:
    """Case 24."""

    def out_of_time() -> Order:
        order = an_order(shop)
        shop.wait(minutes=31)
        return order

    def expired_once(order: Order) -> None:
        ended_once(shop, order, "EXPIRED")

    assert die_everywhere(shop, out_of_time, lambda order: closing.finish(order.id), expired_once) >= 8


def test_killed_while_an_order_is_cancelled_its_stock_is_released_once(shop: Shop) -> None:
    """Case 24."""

    def cancelled_once(order: Order) -> None:
        if shop.state(order) == "WAITING_PAYMENT":  # it died before the wish was written down
            assert open_there(shop, order)
            shop.cancel(order)
        ended_once(shop, order, "CANCELLED")

    assert die_everywhere(shop, lambda: an_order(shop), shop.cancel, cancelled_once) >= 8


def ended_once(shop: Shop, order: Order, state: str) -> None:
    assert shop.moves(order) == ["PENDING", "WAITING_PAYMENT", state]
    assert shop.can_sell(PEN) == UNITS
    assert not open_there(shop, order)


def test_killed_while_another_method_is_being_opened_there_is_never_more_than_one_payment_open(shop: Shop) -> None:
    """Case 24, in the middle of case 17."""

    def one_open_at_most(order: Order) -> None:
        assert open_there(shop, order) == [p.id for p in shop.payments(order) if p.is_open]
        assert len(open_there(shop, order)) <= 1
        shop.cancel(order)
        assert shop.state(order) == "CANCELLED"
        assert not open_there(shop, order)

    assert die_everywhere(shop, lambda: an_order(shop, "otherpay"), shop.pay_again, one_open_at_most) >= 6
