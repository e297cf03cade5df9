"""Checks of mail after recovery: the rows of the shop compared with what the mail server has received. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.chaos.mail_server import Receipt

Row = dict[str, Any]
REPLY_WITHIN = 10.0
"""Seconds after which a client whose connection stays open has certainly read the reply, or given up."""
RECORD_WITHIN = 10.0
"""Seconds in which the shop records a delivery, or fails to because it cannot write."""
UNREAD = "received again: the reply did not arrive"
UNRECORDED = "received again: the shop could not record it"


@dataclass(frozen=True)
class Period:
    """A period, in seconds of the monotonic clock, in which a delivery may go unrecorded because of `name`."""

    name: str
    start: float
    end: float


def violations(
    rows: Sequence[Row], receipts: Sequence[Receipt], periods: Sequence[Period], is_refused: Callable[[str], bool]
) -> list[Row]:
    """Mails that are lost, unknown, mixed up, not final, or received twice without a reason.

    `rows` are those of `mails`; `is_refused` is true for addresses that the server refuses for ever.
    """
    by_id = {row["message_id"]: row for row in rows}
    received = _by_id(receipts)
    found = [_broken(row, why) for row in rows if (why := _state(row, row["message_id"] in received, is_refused))]
    found += [
        {"mail": "a Message-ID has two rows", "message_id": name}
        for name, count in Counter(row["message_id"] for row in rows).items()
        if count > 1
    ]
    for name, copies in received.items():
        if why := _receipts(by_id.get(name), copies):
            found.append({"mail": why, "message_id": name, "received": len(copies)})
        unexplained = sum(not explanation(copy, periods) for copy in copies[:-1])
        if unexplained:
            found.append({"mail": "received again without a reason", "message_id": name, "times": unexplained})
    return found


def figures(rows: Sequence[Row], receipts: Sequence[Receipt], periods: Sequence[Period]) -> list[tuple[str, int]]:
    """Numbers for the report."""
    received = _by_id(receipts)
    again = Counter(explanation(copy, periods) for copies in received.values() for copy in copies[:-1])
    states = Counter(row["state"] for row in rows)
    lost = sum(row["state"] == "SENT" and row["message_id"] not in received for row in rows)
    return [
        ("mails", len(rows)),
        *((f"mails {state}", count) for state, count in sorted(states.items())),
        ("mails with several attempts", sum(row["attempts"] > 1 for row in rows)),
        ("mails received", len(received)),
        (UNREAD, again[UNREAD]),
        (UNRECORDED, again[UNRECORDED]),
        ("received again without a reason", again[""]),
        ("mails lost", lost),
    ]


def explanation(copy: Receipt, periods: Sequence[Period]) -> str:
    """Why the shop may have sent again what the server has received; empty if there is no reason."""
    if not copy.is_read and copy.ended_at is not None and copy.ended_at - copy.at < REPLY_WITHIN:
        return UNREAD
    hindered = any(one.start - RECORD_WITHIN < copy.at < one.end + RECORD_WITHIN for one in periods)
    return UNRECORDED if hindered else ""


def _by_id(receipts: Sequence[Receipt]) -> dict[str, list[Receipt]]:
    """Receipts by Message-ID, oldest first."""
    found: dict[str, list[Receipt]] = defaultdict(list)
    for one in sorted(receipts, key=lambda one: one.at):
        found[one.message_id].append(one)
    return found


def _state(row: Row, was_received: bool, is_refused: Callable[[str], bool]) -> str:
    """Why the state of a row is wrong; empty if it is right."""
    if row["state"] == "SENT":
        return "" if was_received else "lost: SENT and not received"
    if row["state"] != "FAILED":
        return f"not final: {row['state']}"
    is_permanent = is_refused(row["recipient"]) and str(row["error"]).startswith("5")
    return "" if is_permanent else "FAILED without a permanent reason"


def _receipts(row: Row | None, copies: Sequence[Receipt]) -> str:
    """Why the received copies of one Message-ID are wrong; empty if they are right."""
    if row is None:
        return "received without a row"
    if any(copy.recipient != row["recipient"] for copy in copies):
        return "received for another recipient"
    return "two mails have one Message-ID" if len({copy.digest for copy in copies}) > 1 else ""


def _broken(row: Row, why: str) -> Row:
    return {"mail": why} | {name: row[name] for name in ("id", "kind", "state", "attempts", "error", "message_id")}
