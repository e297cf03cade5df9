"""docs/retention.md: how long rows are kept, from the rules that the clock applies."""

from __future__ import annotations

from datetime import timedelta

from shop.core.db import table as table_of
from shop.jobs import kept_tables, retention, retention_rules
from tools.docs.text import GENERATED, table

_INTRO = """
The clock deletes expired rows in batches of at most {window}, and checks every table once an hour. A row that has
changed since it was read stays. In tables with numbered rows the newest row is never deleted, so that no number is used
twice.
"""
_KEPT = """
No row of these tables is deleted by age. Names and addresses of customers are in `users` and `orders`. Those of guests
are erased as the table above says; set `GUEST_DATA_DAYS` to the time for which the law requires them on invoices. Those
of a customer with an account stay until the owner deletes it, on the page of the account; from then on its orders are
kept as those of guests.
"""


def page() -> str:
    """Return the text of docs/retention.md."""
    removed = [
        (f"`{table_of(rule.model).name}`", rule.rows, _days(rule.kept), rule.why) for rule in retention_rules.RULES
    ]
    together = [(f"`{name}`", f"together with `{of}`", "", "") for name, of in kept_tables.REMOVED_WITH.items()]
    kept = [(f"`{kept.table}`", kept.why) for kept in kept_tables.KEPT]
    parts = [
        GENERATED,
        "# Retention",
        _INTRO.strip().format(window=retention.WINDOW),
        table(("Table", "Rows", "Kept for", "Reason"), [*removed, *together]),
        "## Kept without a limit",
        _KEPT.strip(),
        table(("Table", "Reason"), kept),
    ]
    return "\n\n".join(parts) + "\n"


def _days(time: timedelta) -> str:
    return "1 day" if time.days == 1 else f"{time.days} days"
