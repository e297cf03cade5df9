"""The stories of the films: what the customer and the acquirer do, with captions."""

from __future__ import annotations

from collections.abc import Callable

from e2e.pages import DECLINED_CARD, GOOD_CARD
from tools.films.recording import Film

Story = Callable[[Film], None]
_PAID = "Payment received"


def _pay(film: Film, card: str = GOOD_CARD) -> None:
    film.card.fill_in(card)
    film.card.page.wait_for_timeout(1200)
    film.card.page.get_by_role("button", name="Pay", exact=True).click()


def paid(film: Film) -> None:
    film.caption("The order is placed, and its items are reserved.")
    payment = film.open_payment()
    film.caption("The customer opens the acquirer's page …")
    _pay(film)
    film.shop.is_called(_PAID)
    film.caption("… and pays. The order page changes without a reload.", 3)
    film.show_payment(payment)
    film.caption("The shop answered the signed webhook with 200.", 4)


def lost(film: Film) -> None:
    payment = film.open_payment()
    film.acquirer.faults_of(payment, hook={"drop": 1_000_000})
    film.caption("The acquirer is about to lose every webhook of this payment.")
    film.acquirer.approve(payment)
    film.show_payment(payment)
    film.caption("The customer has paid. The webhook is lost, and no browser returns.")
    film.shop.is_called(_PAID, within=60)
    film.caption("The shop polls the acquirer and finds the payment.", 4)


def late(film: Film) -> None:
    payment = film.open_payment()
    film.acquirer.faults_of(payment, pay={"late_after_expiry": "PT10M"})
    film.acquirer.approve(payment)
    film.caption("The bank is slow: the money will come after the order has ended.")
    film.acquirer.turn("PT31M")
    film.shop.is_called("Your order has expired")
    film.show_payment(payment)
    film.caption("31 minutes later: the order has expired, its items are released.", 3)
    film.acquirer.turn("PT11M")
    film.shop.is_called("We received your payment late")
    film.show_payment(payment)
    film.caption("The money arrives after all …")
    film.acquirer.turn("PT1M")
    film.shop.page.locator("#order-status").get_by_text("has been refunded").wait_for()
    film.show_payment(payment)
    film.caption("… and is refunded automatically.", 4)


def twice(film: Film) -> None:
    payment = film.open_payment()
    film.acquirer.faults_of(payment, pay={"double": True})
    film.caption("The acquirer is about to charge the customer twice.")
    _pay(film)
    film.shop.is_called("We received two payments")
    film.show_payment(payment)
    film.caption("One payment pays for the order …", 3)
    film.acquirer.turn("PT1M")
    film.shop.page.locator("#order-status").get_by_text("has been refunded").wait_for()
    film.show_payment(payment)
    film.caption("… and the other one is refunded automatically.", 4)


def declined(film: Film) -> None:
    payment = film.open_payment()
    film.caption("The customer pays with a card that has no money …")
    _pay(film, DECLINED_CARD)
    film.shop.is_called("Your card was declined")
    film.caption("… which is declined. Nothing was taken, and the page is still open.", 3.5)
    _pay(film)
    film.shop.is_called(_PAID)
    film.show_payment(payment)
    film.caption("Another card works.", 4)


STORIES: dict[str, Story] = {"paid": paid, "lost": lost, "late": late, "twice": twice, "declined": declined}
"""By the name of the film's file."""
