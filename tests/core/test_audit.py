"""The audit log: written with the act or not at all, append-only, sealed, and every tampering is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from shop.core import audit, audit_seals, client_address, clock
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.audit_models import AuditEntry, AuditPersonal, AuditSeal
from shop.core.audit_search import Filters, find
from shop.core.audit_verify import Report, verify
from shop.core.db import Base, db, transaction
from shop.core.keyset import Place
from shop.core.money import Money
from shop.jobs import retention
from tests.parts.lending import unprotected
from tests.parts.statements import statements
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop

TABLES: list[type[Base]] = [AuditEntry, AuditPersonal, AuditSeal]
PRICE = Subject(SubjectKind.PRODUCT, "TEST-KETTLE")


def act(number: int = 0, by: Actor | None = None) -> None:
    """An act of staff about product `number`."""
    subject = Subject(SubjectKind.PRODUCT, f"P{number}")
    personal = {"email": "ada@example.com"}
    with transaction():
        audit.record(by or Actor.staff(1), Act.PRICE_SET, subject, after={"n": number}, personal=personal)


def sealed(shop: Shop, *sizes: int) -> None:
    """Seals over so many entries each; entries and seals are numbered from 1."""
    number = 0
    for size in sizes:
        for _ in range(size):
            number += 1
            act(number)
        audit_seals.seal_due()


def ids() -> list[int]:
    found = list(db.session.scalars(sa.select(AuditEntry.id).order_by(AuditEntry.id)))
    db.session.rollback()
    return found


def tamper(*statements: str, **values: Any) -> None:
    """Change rows as a person with all rights on the database could: without triggers and foreign keys."""
    db.session.rollback()
    engine = sa.create_engine(db.engine.url)
    with Session(engine) as session:
        with unprotected(session):
            for statement in statements:
                session.execute(sa.text(statement), values)
        session.commit()
    engine.dispose()


def problems(report: Report) -> list[tuple[str, int | None, int | None]]:
    return [(one.kind, one.seal, one.entry) for one in report.problems]


# --- entries ---


def test_an_entry_states_who_did_what_on_what_and_why(shop: Shop) -> None:
    client_address.bind("203.0.113.7")
    with transaction():
        before, after = {"price": Money(100, "TWD")}, {"price": Money(120, "TWD"), "from": clock.now()}
        audit.record(Actor.staff(3), Act.PRICE_SET, PRICE, before=before, after=after, reason="clay is dearer")
    client_address.bind(None)
    [entry] = find().rows
    assert (entry.actor, entry.act, entry.reason) == ("staff:3", "product.price_set", "clay is dearer")
    assert (entry.subject_kind, entry.subject_id) == ("product", "TEST-KETTLE")
    assert entry.before == {"price": {"amount": 100, "currency": "TWD"}}
    assert entry.after and entry.after["from"].endswith("+00:00")
    assert entry.personal == {"address": "203.0.113.7"}


def test_an_act_that_is_rolled_back_has_no_entry(shop: Shop) -> None:
    with pytest.raises(ZeroDivisionError), transaction():
        audit.record(Actor.staff(3), Act.PRICE_SET, PRICE)
        raise ZeroDivisionError
    assert [shop.count(table) for table in TABLES] == [0, 0, 0]


def test_an_entry_needs_the_transaction_of_its_act(shop: Shop) -> None:
    with pytest.raises(RuntimeError):
        audit.record(Actor.staff(3), Act.PRICE_SET, PRICE)


def test_a_value_that_is_no_plain_data_is_refused(shop: Shop) -> None:
    with pytest.raises(TypeError), transaction():
        audit.record(Actor.staff(3), Act.PRICE_SET, PRICE, after={"price": object()})


def test_customers_and_the_system_have_no_entries(shop: Shop) -> None:
    for actor in (Actor.customer(1), Actor.customer(), Actor.of_source("webhook"), Actor.acquirer("kpay")):
        act(by=actor)
    assert ids() == []


# --- append-only ---

CHANGES = [
    "UPDATE audit_log SET reason = 'x'",
    "UPDATE audit_log SET actor = 'staff:9', seal = 1",
    "UPDATE audit_log SET id = id + 100",
    "UPDATE audit_log SET seal = NULL",
    "DELETE FROM audit_log",
    "UPDATE audit_seals SET mac = 'x'",
    "UPDATE audit_seals SET number = number + 100",
    "DELETE FROM audit_seals",
    "UPDATE audit_personal SET personal = '{}'",
]
REPLACE = "INSERT OR REPLACE INTO {0} SELECT * FROM {0}"


@pytest.mark.parametrize("change", CHANGES)
def test_the_database_refuses_to_change_the_audit_log(shop: Shop, change: str) -> None:
    sealed(shop, 2)
    if "seal = 1" in change:
        act(3)
    with pytest.raises(DatabaseError, match="append-only"), transaction():
        db.session.execute(sa.text(change))
    assert verify().holds


@pytest.mark.parametrize("table", [table.__tablename__ for table in TABLES])
def test_the_database_refuses_to_empty_or_replace_the_audit_log(shop: Shop, table: str) -> None:
    sealed(shop, 2)
    is_sqlite = db.engine.dialect.name == "sqlite"
    change = REPLACE.format(table) if is_sqlite else f"TRUNCATE {table} CASCADE"
    with pytest.raises(DatabaseError, match="append-only"), transaction():
        db.session.execute(sa.text(change))
    assert verify().entries == 2


# --- seals ---


def test_entries_are_sealed_once_in_the_order_of_their_numbers(shop: Shop) -> None:
    sealed(shop, 1, 3)
    audit_seals.seal_due()
    report = verify()
    assert (report.seals, report.entries, report.problems) == (2, 4, [])
    seals = db.session.scalars(sa.select(AuditSeal).order_by(AuditSeal.number)).all()
    assert [[entry for entry, _ in json.loads(seal.entries)] for seal in seals] == [ids()[:1], ids()[1:]]
    assert report.newest == audit_seals.newest()


def test_more_entries_than_fit_into_a_seal_get_several(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_seals, "BATCH", 2)
    sealed(shop, 5)
    assert (verify().seals, verify().entries, verify().problems) == (3, 5, [])


def test_an_entry_with_a_lower_number_that_is_committed_later_is_sealed_too(shop: Shop) -> None:
    sealed(shop, 1)
    _remove_all()
    act(1)
    late = ids()[0] - 1
    audit_seals.seal_due()
    columns = "at, actor, act, subject_kind, subject_id, reason, request_id, personal_hash"
    with transaction():
        db.session.execute(sa.text(f"INSERT INTO audit_log (id, {columns}) SELECT {late}, {columns} FROM audit_log"))  # noqa: S608
    assert audit_seals.due() == [0]
    audit_seals.seal_due()
    assert (verify().seals, verify().entries, verify().problems) == (2, 2, [])


def test_clocks_that_seal_at_once_make_one_chain(shop: Shop, race: Race) -> None:
    for number in range(8):
        act(number)

    def do(number: int) -> None:
        act(100 + number)
        audit_seals.seal_due()

    assert race(do) == [None] * 8
    report = verify()
    assert (report.entries, report.problems) == (16, [])


def test_the_clock_seals_entries_and_logs_the_newest_seal_every_hour(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    act()
    shop.sweep()
    logged = f"seal={audit_seals.newest()}"
    assert capsys.readouterr().err.count(logged) == 1
    shop.turn(minutes=59)
    assert logged not in capsys.readouterr().err
    shop.turn(minutes=2)
    assert capsys.readouterr().err.count(logged) == 1


@pytest.mark.whole_sweep
def test_seals_hold_after_personal_values_are_erased(shop: Shop) -> None:
    sealed(shop, 2)
    shop.turn(days=399)
    assert verify().erased == 0
    shop.turn(days=2)
    retention.sweep()
    report = verify()
    assert (report.entries, report.erased, report.problems) == (2, 2, [])
    assert [entry.personal for entry in find().rows] == [None, None]


# --- changes of the key ---


def test_seals_hold_while_their_key_is_in_the_key_ring_and_afterwards_through_newer_ones(shop: Shop) -> None:
    sealed(shop, 1)
    first, second = shop.app.config["SECRET_KEY"], "another key " * 4
    shop.app.config.update(SECRET_KEY=second, SECRET_KEY_FALLBACKS=[first])
    assert verify().holds
    assert audit_seals.due() == [0], "the newest seal has another key than SECRET_KEY"
    audit_seals.seal_due()
    audit_seals.seal_due()
    shop.app.config["SECRET_KEY_FALLBACKS"] = []
    assert (verify().seals, verify().problems) == (2, [])
    tamper("UPDATE audit_log SET reason = 'x' WHERE seal = 1")
    assert problems(verify()) == [("changed", 1, ids()[0])]
    tamper("UPDATE audit_seals SET entries = '[]' WHERE number = 1")
    assert ("broken_chain", 1, None) in problems(verify())
    tamper("DELETE FROM audit_personal", "DELETE FROM audit_log", "DELETE FROM audit_seals")


def test_no_seal_is_put_on_one_that_does_not_prove_itself(shop: Shop) -> None:
    """Otherwise a new seal would prove a forged chain whose key is said to be a former one."""
    sealed(shop, 1)
    first, second = shop.app.config["SECRET_KEY"], "another key " * 4
    act(2)
    shop.app.config["SECRET_KEY"] = second
    with pytest.raises(audit_seals.UnprovenSeal):
        audit_seals.seal_due()
    assert problems(verify()) == [("unknown_key", 1, None)]
    shop.app.config["SECRET_KEY_FALLBACKS"] = [first]
    audit_seals.seal_due()
    shop.app.config["SECRET_KEY_FALLBACKS"] = []
    assert (verify().entries, verify().problems) == (2, [])
    tamper("UPDATE audit_seals SET key_id = 'x' WHERE number = 2")
    act(3)
    with pytest.raises(audit_seals.UnprovenSeal):
        audit_seals.seal_due()
    _remove_all()


# --- tampering ---


TAMPERING: dict[str, tuple[list[str], list[tuple[str, int | None, int | None]]]] = {
    "a changed entry": (["UPDATE audit_log SET reason = 'x' WHERE id = :two"], [("changed", 2, 2)]),
    "a changed time": (["UPDATE audit_log SET at = '2001-01-01 00:00:00' WHERE id = :two"], [("changed", 2, 2)]),
    "a missing entry": (
        ["DELETE FROM audit_personal WHERE entry_id = :two", "DELETE FROM audit_log WHERE id = :two"],
        [("missing", 2, 2)],
    ),
    "an entry without its seal": (["UPDATE audit_log SET seal = NULL WHERE id = :two"], [("missing", 2, 2)]),
    "an entry under another seal": (
        ["UPDATE audit_log SET seal = 3 WHERE id = :two"],
        [("missing", 2, 2), ("inserted", 3, 2)],
    ),
    "changed personal values": (
        ["UPDATE audit_personal SET personal = '{}' WHERE entry_id = :two"],
        [("changed", 2, 2)],
    ),
    "a forged seal": (
        ["UPDATE audit_seals SET mac = 'f00' WHERE number = 2"],
        [("forged_seal", 2, None), ("broken_chain", 2, None)],
    ),
    "a forged newest seal": (["UPDATE audit_seals SET mac = 'f00' WHERE number = 3"], [("forged_seal", 3, None)]),
    "a seal with another list": (
        ["UPDATE audit_seals SET entries = '[]' WHERE number = 3"],
        [("forged_seal", 3, None)],
    ),
    "a seal with an unknown key": (
        ["UPDATE audit_seals SET key_id = 'x', entries = '{' WHERE number = 2"],
        [("forged_seal", 2, None), ("broken_chain", 2, None)],
    ),
    "a missing seal": (
        ["UPDATE audit_log SET seal = 1 WHERE seal = 2", "DELETE FROM audit_seals WHERE number = 2"],
        [("inserted", 1, 2), ("inserted", 1, 3), ("missing_seal", 2, None)],
    ),
    "a missing newest seal": (["DELETE FROM audit_seals WHERE number = 3"], [("missing_seal", 3, 4)]),
    "missing first seals": (
        [
            "DELETE FROM audit_personal WHERE entry_id < 4",
            "DELETE FROM audit_log WHERE seal < 3",
            "DELETE FROM audit_seals WHERE number < 3",
        ],
        [("missing_seal", 1, None)],
    ),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_tampering_is_found(shop: Shop, what: str) -> None:
    sealed(shop, 1, 2, 1)
    first = ids()[0]
    assert verify().holds
    statements, expected = TAMPERING[what]
    tamper(*(one.replace("< 4", f"< {first + 3}") for one in statements), **_given(statements, first + 1))
    found = [(kind, seal, entry and entry - first + 1) for kind, seal, entry in problems(verify())]
    assert found == expected
    _remove_all()


def _given(statements: list[str], two: int) -> dict[str, int]:
    return {"two": two} if any(":two" in one for one in statements) else {}


def _remove_all() -> None:
    """Remove the evidence, because the test ends with the invariants."""
    tamper("DELETE FROM audit_personal", "DELETE FROM audit_log", "DELETE FROM audit_seals")


def test_a_cut_off_end_is_found_with_the_newest_seal_from_the_log(shop: Shop) -> None:
    sealed(shop, 1, 1)
    number, mac = (audit_seals.newest() or "").split(":")
    known = (int(number), mac)
    assert verify(known=known).holds
    tamper(
        "DELETE FROM audit_personal WHERE entry_id IN (SELECT id FROM audit_log WHERE seal = 2)",
        "DELETE FROM audit_log WHERE seal = 2",
        "DELETE FROM audit_seals WHERE number = 2",
    )
    assert verify().holds
    assert problems(verify(known=known)) == [("cut_off", 2, None)]
    act(9)
    audit_seals.seal_due()
    assert problems(verify(known=known)) == [("other_seal", 2, None)]


def test_an_entry_that_waits_for_its_seal_is_found(shop: Shop) -> None:
    act()
    shop.wait(minutes=4)
    assert verify().holds
    shop.wait(minutes=2)
    assert problems(verify()) == [("unsealed", None, ids()[0])]
    audit_seals.seal_due()
    assert verify().holds


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_time_that_is_none_is_found(shop: Shop) -> None:
    """SQLite stores any text in any column; PostgreSQL does not."""
    sealed(shop, 2)
    tamper("UPDATE audit_log SET at = 'noon'")
    assert problems(verify()) == [("unreadable", None, None)]
    _remove_all()


def test_the_last_seals_are_verified_on_their_own(shop: Shop) -> None:
    sealed(shop, 1, 1, 1)
    tamper("UPDATE audit_log SET reason = 'x' WHERE seal = 1")
    assert (verify(last=2).seals, verify(last=2).problems) == (2, [])
    assert problems(verify(last=3)) == [("changed", 1, ids()[0])]
    tamper(
        "DELETE FROM audit_personal", "DELETE FROM audit_log WHERE seal = 1", "DELETE FROM audit_seals WHERE number = 1"
    )
    assert problems(verify(last=2)) == [("missing_seal", 1, None)]
    _remove_all()


# --- search ---


def test_pages_go_on_where_the_last_one_ended_though_new_entries_arrive(shop: Shop) -> None:
    for number in range(5):
        act(number)
    first = find(limit=2)
    act(5)
    second = find(place=Place(after=first.older), limit=2)
    third = find(place=Place(after=second.older), limit=2)
    shown = [[entry.subject_id for entry in page.rows] for page in (first, second, third)]
    assert (shown, third.older) == ([["P4", "P3"], ["P2", "P1"], ["P0"]], None)


def test_filters_all_have_to_hold(shop: Shop) -> None:
    act(1)
    act(1, by=Actor.staff(2))
    shop.wait(hours=1)
    act(2)
    now = clock.now()
    found: Callable[[Filters], list[str]] = lambda filters: [entry.subject_id for entry in find(filters).rows]  # noqa: E731
    assert found(Filters(actor=Actor.staff(1))) == ["P2", "P1"]
    assert found(Filters(actor=Actor.staff(1), subject_kind=SubjectKind.PRODUCT, subject_id="P1")) == ["P1"]
    assert found(Filters(acts=[Act.TAX_SET, Act.PRICE_SET], since=now - timedelta(minutes=1))) == ["P2"]
    assert found(Filters(until=now - timedelta(minutes=1))) == ["P1", "P1"]
    assert found(Filters(acts=[Act.TAX_SET])) == found(Filters(request_id="x")) == []


def test_a_page_takes_one_statement(shop: Shop) -> None:
    for number in range(3):
        act(number)
    with statements() as sent:
        find(Filters(actor=Actor.staff(1)), limit=2)
    assert len(sent) == 1
