"""Texts of notifications about alerts: title and facts of a mail, and the message to the chat. Pure.

They have no personal data and no secrets: an alert is named by its rule, its subject and an amount.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shop.alerts.rules import RULES
from shop.alerts.states import MessageKind
from shop.core.money import CURRENCIES, Money

LONGEST = 500
"""Characters of a line in the chat."""
_SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True)
class AlertFacts:
    """Facts of a notification about an alert. `about` is an order's number or another subject, `since` when its cause
    began, `due` until when it has to be dealt with, `at` the time of the notification.
    """

    alert: int
    kind: MessageKind
    severity: str
    rule: str
    about: str
    is_order: bool
    money: Money | None
    since: datetime
    at: datetime
    due: datetime | None = None

    @property
    def title(self) -> str:
        """Occasion and rule in words."""
        occasion = f"{self.severity} alert" if self.kind is MessageKind.RAISED else "Waits for a person"
        return f"{occasion}: {RULES[self.rule][1]}"

    @property
    def facts(self) -> list[str]:
        """Subject, amount and times of the alert, each a phrase."""
        found = [f"Order {self.about}" if self.is_order else self.about]
        found += [self.money.with_code()] if self.money else []
        found.append(f"since {self.since:%Y-%m-%d %H:%M} UTC ({age(self.at - self.since)})")
        return found + ([f"due {self.due:%Y-%m-%d %H:%M} UTC"] if self.due else [])


def money(observed: Mapping[str, Any], expected: Mapping[str, Any]) -> Money | None:
    """The amount that an alert is about: the observed one, or else the expected one."""
    for values in (observed, expected):
        amount, currency = values.get("amount"), values.get("currency")
        if isinstance(amount, int) and currency in CURRENCIES:
            return Money(amount, currency)
    return None


def age(length: timedelta) -> str:
    """A length of time in words, such as 3 h or 2 d 4 h."""
    minutes = max(0, int(length.total_seconds() // 60))
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    return f"{hours} h" if hours else f"{minutes} min"


def summary(rule: str, number: int, began_at: datetime) -> tuple[str, list[str]]:
    """Title and facts of a notification about the further alerts of a rule."""
    severity, text = RULES[rule]
    title = f"{number:,} more {severity} alert{'' if number == 1 else 's'}: {text}"
    return title, [f"since {began_at:%Y-%m-%d %H:%M} UTC", "not notified one by one"]


def for_chat(title: str, facts: Sequence[str], address: str) -> str:
    """The text of a message to a chat, with the address of the page on a line of its own."""
    return "\n".join(_line(text) for text in (title, ", ".join(facts), address))


def _line(text: str) -> str:
    """A line without characters that Slack formats or that end it."""
    return " ".join(text.split())[:LONGEST].translate(_SLACK)
