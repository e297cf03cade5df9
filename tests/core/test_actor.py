"""Actors: their text form, and who may be the second person."""

from __future__ import annotations

import pytest

from shop.core.actor import Actor, ActorKind
from shop.payments.records.types import Source


@pytest.mark.parametrize(
    ("actor", "text"),
    [
        (Actor.staff(3), "staff:3"),
        (Actor.customer(7), "customer:7"),
        (Actor.customer(), "customer"),
        (Actor(ActorKind.SETTLEMENT_FILE), "settlement file"),
        (Actor(ActorKind.STAFF, name="Ada: 5/6"), "staff/Ada: 5/6"),
        (Actor(ActorKind.ACQUIRER, name="kpay"), "acquirer/kpay"),
    ],
)
def test_the_text_form_is_read_back(actor: Actor, text: str) -> None:
    assert (str(actor), Actor.parse(text)) == (text, actor)


@pytest.mark.parametrize("text", ["", "sam", "staff:x", ":3"])
def test_text_that_is_no_actor_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Actor.parse(text)


def test_an_actor_with_an_account_has_no_name() -> None:
    with pytest.raises(ValueError):
        Actor(ActorKind.STAFF, 3, "sam")
    with pytest.raises(ValueError):
        Actor.parse("staff:3/sam")


@pytest.mark.parametrize("source", list(Source))
def test_every_source_of_updates_is_an_actor(source: Source) -> None:
    assert str(Actor.of_source(source)) == source


def test_the_second_person_has_another_account() -> None:
    named = Actor(ActorKind.STAFF, name="sam")
    assert Actor.staff(2).may_approve(Actor.staff(1))
    assert not Actor.staff(1).may_approve(Actor.staff(1))
    assert not Actor.staff(1).may_approve(Actor.customer(1))
    assert not Actor.staff(1).may_approve(named)
    assert not named.may_approve(Actor.staff(1))
