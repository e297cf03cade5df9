"""Crashes between any two steps: the next process resumes or undoes the work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection

from shop.checkout import cart, end_order
from shop.checkout.agreement import Shown
from shop.core.db import db, pipeline
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.updates import write
from tests.shop_fixtures import PEN, UNITS, Shop

Subject = TypeVar("Subject")


class Killed(BaseException):
    """kill -9 as one thread sees it: nothing runs after it, nothing catches it."""


class Boundaries:
    """Counts the points at which a process can die: before and after every commit and every call to the acquirer."""

    def __init__(self, deadly: int = 0) -> None:
        self.deadly, self.passed = deadly, 0

    def pass_one(self, *_: Any) -> None:
        self.passed += 1
        if self.passed == self.deadly:
            raise Killed


@contextmanager
def dying_at(boundaries: Boundaries) -> Iterator[None]:
    """Raise Killed at the chosen boundary."""
    provider: Any = registry.get("fakepay")

    def around(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            boundaries.pass_one()
            answer = call(*arguments)
            boundaries.pass_one()
            return answer

        return called

    session: Any = type(db.session())
    right, in_pipeline = session.commit, list[bool]()

    def commit(self: Any) -> None:
        counts = self.in_transaction() and not in_pipeline
        (around(right) if counts else right)(self)

    @contextmanager
    def dying_pipeline(*, commit: bool = False) -> Iterator[Connection]:
        if commit:
            boundaries.pass_one()
            in_pipeline.append(True)
        with pipeline(commit=commit) as connection:
            yield connection
        if commit:
            in_pipeline.pop()
            boundaries.pass_one()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "commit", commit)
        patch.setattr(write, "pipeline", dying_pipeline)
        for operation in ("start", "query", "cancel"):
            patch.setattr(provider, operation, around(getattr(provider, operation)))
        yield


def die_everywhere(
    shop: Shop, prepare: Callable[[], Subject], do: Callable[[Subject], Any], then: Callable[[Subject], None]
) -> int:
    """Prepare and run again, dying one boundary later each time; `then` checks. Returns the number of boundaries."""
    for deadly in range(1, 100):
        subject, boundaries = prepare(), Boundaries(deadly)
        with suppress(Killed), shop.app.app_context(), dying_at(boundaries):
            do(subject)
        for _ in range(2):  # the next clock process runs after the longest lease
            shop.turn(seconds=31)
        then(subject)
        if boundaries.passed < deadly:
            return boundaries.passed
    raise AssertionError("it never came to an end")


def an_order(shop: Shop, provider: str = "fakepay") -> Order:
    shop.restock(PEN)
    return shop.order((PEN, 1), provider=provider)


def open_there(shop: Shop, order: Order) -> list[str]:
    """The order's payments for which the acquirer would still accept money."""
    ours = [p.id for p in shop.payments(order)]
    return [ref for ref, remote in shop.acquirer.payments.items() if ref in ours and remote.state == "OPEN"]


def test_killed_between_any_two_steps_of_placing_an_order_it_is_there_as_a_whole_or_not_at_all(shop: Shop) -> None:
    """Case 24."""

    def filled_cart() -> tuple[str, Shown]:
        cart_id = shop.cart((PEN, 1))
        return cart_id, shop.form(cart_id)

    def whole_or_not_at_all(subject: tuple[str, Shown]) -> None:
        cart_id, form = subject
        order = db.session.scalars(db.select(Order).where(Order.checkout_key == form.key)).one_or_none()
        if order is None:
            assert cart.load(cart_id).units == 1
            assert shop.can_sell(PEN) == UNITS
            return
        assert shop.state(order) == "WAITING_PAYMENT"
        assert open_there(shop, order) == [p.id for p in shop.payments(order)]
        assert len(shop.payments(order)) == 1
        assert shop.place(cart_id, form=form).id == order.id, "pressing the button again shows it"
        shop.cancel(order)
        assert shop.can_sell(PEN) == UNITS

    boundaries = die_everywhere(
        shop, filled_cart, lambda subject: shop.place(subject[0], form=subject[1]), whole_or_not_at_all
    )
    assert boundaries >= 6, "placed with its payment, provider called, answer applied: before and after each"


def test_a_process_killed_while_it_receives_a_webhook_applies_it_once(shop: Shop) -> None:
    """Case 24: an unacknowledged webhook is sent again, a stored one is applied later."""

    def paid_there() -> tuple[Order, tuple[dict[str, str], bytes]]:
        order = an_order(shop)
        payment = shop.payment(order)
        shop.acquirer.capture(payment.id)
        return order, shop.acquirer.webhook(payment.id, f"evt-{payment.id}")

    def paid_once(subject: tuple[Order, tuple[dict[str, str], bytes]]) -> None:
        order, webhook = subject
        assert shop.receive(*webhook)[0] == 200
        assert shop.moves(order) == ["PENDING", "WAITING_PAYMENT", "PAID"]
        assert shop.captures(order) == ["pays_order"]

    boundaries = die_everywhere(shop, paid_there, lambda subject: shop.receive(*subject[1]), paid_once)
    assert boundaries == 2, "before and after it is stored and settled, in one unit"


@pytest.mark.full
def test_after_a_kill_during_a_query_the_next_query_pays_the_order(shop: Shop) -> None:
    """Case 24."""

    def paid_there() -> Order:
        order = an_order(shop)
        shop.acquirer.capture(shop.payment(order).id)
        shop.wait(seconds=11)
        return order

    def paid_once(order: Order) -> None:
        assert shop.captures(order) == ["pays_order"]

    assert die_everywhere(shop, paid_there, lambda _: shop.sweep(), paid_once) >= 6


@pytest.mark.full
def test_killed_while_an_order_expires_its_stock_is_released_once(shop: Shop) -> None:
    """Case 24."""

    def out_of_time() -> Order:
        order = an_order(shop)
        shop.wait(minutes=31)
        return order

    def expired_once(order: Order) -> None:
        ended_once(shop, order, "EXPIRED")

    assert die_everywhere(shop, out_of_time, lambda order: end_order.finish(order.id), expired_once) >= 8


@pytest.mark.full
def test_killed_while_an_order_is_cancelled_its_stock_is_released_once(shop: Shop) -> None:
    """Case 24."""

    def cancelled_once(order: Order) -> None:
        if shop.state(order) == "WAITING_PAYMENT":  # it died before the cancellation was stored
            assert open_there(shop, order)
            shop.cancel(order)
        ended_once(shop, order, "CANCELLED")

    assert die_everywhere(shop, lambda: an_order(shop), shop.cancel, cancelled_once) >= 8


def ended_once(shop: Shop, order: Order, state: str) -> None:
    assert shop.moves(order) == ["PENDING", "WAITING_PAYMENT", state]
    assert shop.can_sell(PEN) == UNITS
    assert not open_there(shop, order)


def test_a_kill_while_another_method_is_initiated_never_leaves_two_open_payments(shop: Shop) -> None:
    """Case 24, in the middle of case 17."""

    def one_open_at_most(order: Order) -> None:
        assert open_there(shop, order) == [p.id for p in shop.payments(order) if p.is_open]
        assert len(open_there(shop, order)) <= 1
        shop.cancel(order)
        assert shop.state(order) == "CANCELLED"
        assert not open_there(shop, order)

    assert die_everywhere(shop, lambda: an_order(shop, "otherpay"), shop.pay_again, one_open_at_most) >= 6
