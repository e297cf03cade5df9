"""Short form of the chaos test in `bench/chaos`, with real processes."""

from __future__ import annotations

import re
import sys

import pytest

from tests.parts.processes import Processes

TAKES = 400.0
"""Maximum seconds on a busy machine; a minute and a half otherwise."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(TAKES + 30)]


def run_chaos(process: Processes, database: str, *more: str) -> tuple[int, str]:
    """(exit code, output)."""
    run = process([sys.executable, "-m", "bench.chaos", "--short", "--database", database, *more], log="chaos")
    code = run.wait(within=TAKES)
    return code, run.text


def counted(printed: str, what: str) -> float:
    """The number beside `what` in the printed tables."""
    found = re.search(rf"^  {re.escape(what)} +([\d,.]+)$", printed, re.MULTILINE)
    return float(found[1].replace(",", "")) if found else 0.0


@pytest.mark.full
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_every_order_ends_and_every_amount_is_accounted_for_despite_kills_hangs_and_lost_data(
    process: Processes, database: str
) -> None:
    code, printed = run_chaos(process, database)
    assert code == 0, printed[-6000:]
    assert counted(printed, "orders placed") >= 10 and counted(printed, "paid") >= 5, printed
    assert len(re.findall(r"^  (?:refund|cancel|accept) .*: done ", printed, re.MULTILINE)) >= 2, printed
    assert counted(printed, "processes restarted") >= 5 and counted(printed, "hook.drop") >= 5, printed
    assert counted(printed, "mails received") >= 10, printed


@pytest.mark.full
def test_a_missing_clock_a_wrong_amount_and_a_lost_order_are_detected(process: Processes) -> None:
    """Check of the checks above."""
    code, printed = run_chaos(process, "sqlite", "--seeded-bug", "both", "--orders", "12", "--every", "1000")
    assert code == 1, printed[-6000:]
    found = (
        "invariants of `flask check`",
        "results acknowledged to customers and staff",
        "the acquirer's ledger and ours",
        "every state is final",
    )
    assert all(counted(printed, what) > 0 for what in found), printed
