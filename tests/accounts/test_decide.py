"""Rules of mailed links. No database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shop.accounts.decide import LASTS, LinkProblem, LinkPurpose, LinkSnapshot, binding, problem_of

AT = datetime(2026, 5, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("ends", "is_used", "bound_now", "problem"),
    [
        (AT + SECOND, False, "same", None),
        (AT, False, "same", LinkProblem.EXPIRED),
        (AT + SECOND, True, "same", LinkProblem.USED),
        (AT, True, None, LinkProblem.USED),
        (AT + SECOND, False, "other", LinkProblem.OUTDATED),
        (AT + SECOND, False, None, LinkProblem.OUTDATED),
    ],
)
def test_a_link_is_usable_once_in_time_and_while_the_account_is_the_same(
    ends: datetime, is_used: bool, bound_now: str | None, problem: LinkProblem | None
) -> None:
    assert problem_of(LinkSnapshot(ends, is_used, "same"), bound_now, AT) == problem


@pytest.mark.parametrize("purpose", LinkPurpose)
def test_a_link_is_bound_to_its_purpose_and_the_address_and_the_password_unless_it_only_confirms_the_address(
    purpose: LinkPurpose,
) -> None:
    first = binding(purpose, "a@example.com", "hash")
    assert first == binding(purpose, "a@example.com", "hash")
    assert first != binding(purpose, "b@example.com", "hash")
    assert (first == binding(purpose, "a@example.com", "other")) == (purpose == LinkPurpose.VERIFY)
    assert first not in {binding(other, "a@example.com", "hash") for other in LinkPurpose if other != purpose}


def test_a_reset_link_lasts_an_hour_and_every_purpose_has_an_end() -> None:
    assert LASTS[LinkPurpose.RESET] == timedelta(hours=1)
    assert set(LASTS) == set(LinkPurpose) and max(LASTS.values()) <= timedelta(days=3)
