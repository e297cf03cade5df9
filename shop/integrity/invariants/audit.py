"""8. The newest seals of the audit log hold. `flask audit verify` verifies all of them."""

from __future__ import annotations

from dataclasses import asdict

from shop.core.audit_verify import verify
from shop.integrity.invariants.scope import Rows, Scope

LAST = 50
"""Seals that are verified: at most ten thousand entries, which take a fraction of a second."""


def newest_seals_hold(_scope: Scope) -> Rows:
    return [asdict(problem) for problem in verify(last=LAST).problems]
