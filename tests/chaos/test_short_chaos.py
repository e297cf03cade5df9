"""A minute of chaos with everything real: see `bench/chaos`, whose long form this is the beginning of."""

from __future__ import annotations

import re
import sys

import pytest

from tests.parts.processes import Processes

TAKES = 400.0
"""Seconds, at most, on a machine that is busy with other things; a minute and a half otherwise."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(TAKES + 30)]


def storm(process: Processes, database: str, *more: str) -> tuple[int, str]:
    """(exit code, what it printed)."""
    run = process([sys.executable, "-m", "bench.chaos", "--short", "--database", database, *more], log="chaos")
    code = run.wait(within=TAKES)
    return code, run.text


def counted(printed: str, what: str) -> float:
    """The number beside `what` in the tables that were printed."""
    found = re.search(rf"^  {re.escape(what)} +([\d,.]+)$", printed, re.MULTILINE)
    return float(found[1].replace(",", "")) if found else 0.0


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_whatever_is_killed_hung_emptied_or_lost_every_order_has_an_end_and_every_cent_is_known(
    process: Processes, database: str
) -> None:
    code, printed = storm(process, database)
    assert code == 0, printed[-6000:]
    assert counted(printed, "orders placed") >= 10 and counted(printed, "paid") >= 5, printed
    assert len(re.findall(r"^  (?:refund|call|accept|send back) .*: done ", printed, re.MULTILINE)) >= 2, printed
    assert counted(printed, "processes started again") >= 5 and counted(printed, "hook.drop") >= 5, printed


def test_a_shop_without_its_clock_a_cent_too_much_and_a_lost_order_are_found_out(process: Processes) -> None:
    """The test of the test above."""
    code, printed = storm(process, "sqlite", "--plant", "both", "--orders", "12", "--every", "1000")
    assert code == 1, printed[-6000:]
    found = (
        "invariants of `flask check`",
        "promises to buyers and staff",
        "the acquirer's books and ours",
        "everything has an end",
    )
    assert all(counted(printed, what) > 0 for what in found), printed
