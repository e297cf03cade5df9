"""Alerts on settlement files that could not be fetched."""

from __future__ import annotations

from sqlalchemy import select

from shop.alerts.episodes import AT_ONCE, CheckRun, follow
from shop.alerts.store import WATCH, Cause
from shop.core.db import db
from shop.payments.records.settlement_models import SettlementFile
from shop.payments.settlement.daily_fetch import LIMIT


def missing(run: CheckRun) -> None:
    """Alert on each file that was not read LIMIT after the first attempt, until one is read."""
    unread = (
        select(SettlementFile)
        .where(SettlementFile.read_at.is_(None), SettlementFile.expected_at <= run.at - LIMIT)
        .order_by(SettlementFile.expected_at, SettlementFile.provider)
        .limit(AT_ONCE)
    )
    found = [
        Cause(
            rule="OPS_SETTLEMENT_MISSING",
            subject=f"{file.provider} {file.day}",
            cause="not read",
            source=WATCH,
            observed={"attempts": file.attempts, "error": file.error},
            expected={"fileOf": file.day.isoformat(), "provider": file.provider},
        )
        for file in db.session.scalars(unread)
    ]
    complete = len(found) < AT_ONCE
    follow(run, "OPS_SETTLEMENT_MISSING", found, "The settlement file has been read.", complete=complete)
