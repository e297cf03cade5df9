"""Why an order is what it is, as one sentence made from its history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from sqlalchemy import select

from shop.core.db import db
from shop.core.money import Money
from shop.orders import events
from shop.orders.models import Order, OrderEvent
from shop.payments import registry
from shop.payments.models import Capture, InboxRow, Payment, Report

_SAID = {
    "webhook": "{who}'s webhook{event}",
    "poll": "{who}'s answer to our question",
    "return": "{who}'s answer, asked for when the buyer came back,",
    "view": "{who}'s answer, asked for when the order was looked at,",
    "closing": "{who}'s answer to closing the payment",
    "start": "{who}'s answer to opening the payment",
    "settlement file": "{who}'s settlement file",
}
"""Who spoke, by what the history has as the source. Anything else is a person, by name."""


def why(order: Order) -> str:
    """One sentence: the state, what brought the order into it, who said so, and when (UTC).

    Money that came and pays nothing gets one each, and that people have to decide another one.
    """
    story = _Story(order, events.since(order.id, 0))
    sentence = SENTENCES[story.move.because or "placed"](story)
    review = f" Since {_at(order.review_since)} money waits for people to decide." if order.review_since else ""
    beside = "".join(f" {_pays_nothing(capture)}." for capture in story.others)
    return f"{order.state} because {sentence}.{beside}{review}"


@dataclass
class _Story:
    """An order, its history, and what the last move was about."""

    order: Order
    history: list[OrderEvent]
    move: OrderEvent = field(init=False)
    before: OrderEvent | None = field(init=False)

    def __post_init__(self) -> None:
        *earlier, self.move = [event for event in self.history if event.target]
        self.before = earlier[-1] if earlier else None

    @cached_property
    def payment(self) -> Payment | None:
        """The payment that the move was about; where it names none, the latest."""
        named = self.move.data.get("payment") or self.order.paid_by
        if named:
            return db.session.get(Payment, named)
        mine = select(Payment).where(Payment.order_id == self.order.id).order_by(Payment.id.desc()).limit(1)
        return db.session.scalars(mine).first()

    @property
    def who(self) -> str:
        return registry.label(self.payment.provider) if self.payment else "nobody"

    @cached_property
    def capture(self) -> Capture:
        """The money that paid the order."""
        mine = select(Capture).where(Capture.payment_id == self.order.paid_by, Capture.standing == "paid")
        return db.session.scalars(mine).one()

    @cached_property
    def others(self) -> list[Capture]:
        """Money that pays nothing, as it came."""
        mine = select(Capture).join(Payment).where(Payment.order_id == self.order.id, Capture.standing != "paid")
        return list(db.session.scalars(mine.order_by(Capture.heard_at, Capture.id)))

    def said(self, source: str, event: str = "") -> str:
        return _SAID[source].format(who=self.who, event=event and f" {event}") if source in _SAID else source

    def capture_said(self) -> str:
        """Who told of the money that paid, by the name of the webhook where it was one."""
        told = (
            select(Report, InboxRow.dedupe_key)
            .outerjoin(InboxRow, InboxRow.id == Report.inbox_id)
            .where(Report.payment_id == self.capture.payment_id, Report.heard_from == self.capture.heard_from)
            .order_by(Report.id)
        )
        for report, event in db.session.execute(told):
            if any(one["id"] == self.capture.capture_id for one in report.facts.get("captures", ())):
                return self.said(report.heard_from, event or "")
        return self.said(self.capture.heard_from)

    def refund(self) -> tuple[str, str, str]:
        """(the refund that the move was about, how much it was, who said what became of it).

        A refund's own event comes after the move that it makes.
        """
        later = (event for event in self.history if event.seq > self.move.seq and event.kind.startswith("refund."))
        event = next(later)
        money = Money(int(event.data["amount"]), str(event.data["currency"]))
        return str(event.data["refund"]), money.format(), self.said(event.actor)


def _at(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "an unknown time"


def _price(order: Order) -> str:
    """What a payment has to bring, in words."""
    less = f" less {order.credit.format()} of store credit" if order.credit_amount else ""
    return f"the price{less}"


_PAYS_NOTHING = {
    "late": "when the order had ended",
    "second": "when the order was paid already",
    "mismatch": "which is not the price",
}


def _pays_nothing(capture: Capture) -> str:
    who, at = registry.label(capture.provider), _at(capture.captured_at)
    because = _PAYS_NOTHING[str(capture.standing)]
    return f"{who} took {capture.money.format()} (capture {capture.capture_id}) at {at}, {because}"


def _captured(story: _Story) -> str:
    capture = story.capture
    told = f"{story.capture_said()} at {_at(capture.heard_at)} said that capture {capture.capture_id}"
    return f"{told} of {capture.money.format()} was made, which is {_price(story.order)}"


def _revived(story: _Story) -> str:
    capture, before = story.capture, story.before
    told = f"{story.capture_said()} at {_at(capture.heard_at)} said that capture {capture.capture_id}"
    ended = f"it had been {before.target} since {_at(before.at)}" if before else "it had ended"
    return f"{told} of {capture.money.format()} was made in time, at {_at(capture.captured_at)}, although {ended}"


def _accepted(story: _Story) -> str:
    capture, order = story.capture, story.order
    note = f' ("{story.move.data["note"]}")' if story.move.data.get("note") else ""
    return (
        f"{story.move.actor} at {_at(story.move.at)} accepted capture {capture.capture_id} of {capture.money.format()} "
        f"in place of {order.to_pay.format()}{note}"
    )


def _covered(story: _Story) -> str:
    return f"store credit of {story.order.credit.format()} covered the price at {_at(story.move.at)}"


def _opened(story: _Story) -> str:
    payment = story.payment
    what = f"payment {payment.id} of {payment.money.format()}" if payment else "a payment"
    silent = "" if story.others else " and has not told of money since"
    return f"{story.who} opened {what} at {_at(story.move.at)}{silent}"


def _refused(story: _Story) -> str:
    payment = story.payment
    reason = f" ({payment.end_reason})" if payment and payment.end_reason else ""
    return f"{story.who} did not open payment {payment.id if payment else ''} at {_at(story.move.at)}{reason}"


def _ended(story: _Story) -> str:
    payment = story.payment
    reason = f" ({payment.end_reason})" if payment and payment.end_reason else ""
    told = story.said(story.move.actor)
    return (
        f"{told} at {_at(story.move.at)} said that payment {payment.id if payment else ''} ended without money{reason}"
    )


def _expired(story: _Story) -> str:
    asked = f"{story.who}, asked before, had taken none" if story.payment else "no payment had been opened"
    return f"the time to pay ended at {_at(story.order.pay_by)} without money; {asked}"


def _cancelled(story: _Story) -> str:
    wish = next((event for event in story.history if event.kind == "order.cancel_requested"), story.move)
    asked = f"{story.who}, asked before, had taken no money" if story.payment else "no payment had been opened"
    return f"{wish.actor} cancelled it at {_at(wish.at)}; {asked}"


def _refunded(story: _Story) -> str:
    refund, money, told = story.refund()
    gone = Money(int(story.move.data.get("refunded", 0)), story.order.currency)
    return f"refund {refund} of {money} was done at {_at(story.move.at)}, told by {told}; {_back(story, gone)}"


def _refund_failed(story: _Story) -> str:
    refund, money, told = story.refund()
    gone = Money(int(story.move.data.get("refunded", 0)), story.order.currency)
    return f"refund {refund} of {money} failed after all at {_at(story.move.at)}, told by {told}; {_back(story, gone)}"


def _back(story: _Story, gone: Money) -> str:
    """How much of what was paid has gone back by then."""
    if not gone.amount:
        return "nothing has gone back"
    paid = story.order.accepted
    return f"{'all' if gone == paid else gone.format()} of {paid.format()} has gone back"


def _placed(story: _Story) -> str:
    return f"it was placed at {_at(story.move.at)} and no payment is open yet"


SENTENCES: dict[str, Callable[[_Story], str]] = {
    "placed": _placed,
    "payment_opened": _opened,
    "captured": _captured,
    "nothing_left_to_pay": _covered,
    "opening_refused": _refused,
    "payment_ended": _ended,
    "time_over": _expired,
    "cancelled": _cancelled,
    "paid_in_time_seen_late": _revived,
    "mismatch_accepted": _accepted,
    "refund_done": _refunded,
    "refund_failed_later": _refund_failed,
}
"""One for each reason of the order table, and one for an order that has not moved."""
