"""Reconciliation of settlement files with the ledger: settled lines are booked once, and every difference is stored."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from shop.alerts import store
from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.errors import Away, BadInput, Refusal
from shop.core.money import Money
from shop.integrity import settlement_day
from shop.ledger import funds
from shop.ledger.models import Journal
from shop.payments.records.models import Refund
from shop.payments.records.settlement_models import Discrepancy, SettlementLineRow
from shop.payments.settlement import acceptance, reconcile
from tests.integrity.broken import broken
from tests.payments.trading import QUIET, Trading
from tests.real_acquirer_fixtures import RealAcquirer
from tests.shop_fixtures import Race, Shop

PROVIDERS = ("kpay", "paypay", "stripe", "tpay")
FEES = {"kpay": 3360, "tpay": 3300, "paypay": 111, "stripe": 110}
"""Fee of a kettle, by provider."""
CAUSE_OF = {"missing": "missing_there", "unknown": "unknown", "fee_drift": "fee", "amount_drift": "amount"}


@pytest.fixture
def trading(shop: Shop, make_acquirer: Callable[..., RealAcquirer]) -> Iterator[Trading]:
    day = Trading(shop, make_acquirer(**QUIET))
    yield day
    shop.sweep()


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_day_without_discrepancies_is_booked_with_its_fees_and_clears_the_receivable(
    trading: Trading, provider: str
) -> None:
    order = trading.paid(provider)
    price = trading.capture(order).amount
    trading.day_is_over()
    before = trading.balances()
    run = trading.reconcile(provider)
    after = trading.balances()
    assert (run.lines, run.booked, run.applied, run.opened, trading.discrepancies()) == (1, 1, [], 0, [])
    assert before == {f"receivable:{provider}": price, "sales": -price}
    assert after == {"fees": FEES[provider], "bank": price - FEES[provider], "sales": -price}


def test_a_refund_is_settled_against_the_day_and_its_fee_stays(trading: Trading, provider: str) -> None:
    order = trading.paid(provider)
    price = trading.capture(order).amount
    refund = trading.refund(order, price // 4 // 100 * 100)
    trading.day_is_over()
    trading.shop.sweep()
    run = trading.reconcile(provider)
    assert (run.lines, run.booked, trading.discrepancies()) == (2, 2, [])
    back = db.session.get_one(Refund, refund).amount
    assert trading.balances() == {
        "fees": FEES[provider],
        "bank": price - back - FEES[provider],
        "sales": -price,
        "refunds": back,
    }


def test_running_it_again_books_nothing_and_opens_nothing_twice(trading: Trading, provider: str) -> None:
    for _ in range(4):
        trading.paid(provider)
    trading.day_is_over()
    bent = trading.file(provider, discrepancies=4)
    first, once = trading.reconcile(provider, bent), trading.balances()
    again, twice = trading.reconcile(provider, bent), trading.balances()
    assert first.booked and first.opened == 4
    assert (again.booked, again.opened, again.closed, again.applied) == (0, 0, 0, [])
    assert once == twice
    assert trading.shop.count(Discrepancy) == 4


def test_every_kind_of_discrepancy_is_found_and_closed_by_a_correct_file(trading: Trading, provider: str) -> None:
    for _ in range(4):
        trading.paid(provider)
    trading.day_is_over()
    raw, message = trading.bent(provider, discrepancies=4)
    wrong = trading.reconcile(provider, raw)
    assert trading.discrepancies() == sorted(CAUSE_OF[one["kind"]] for one in json.loads(message))
    assert (wrong.opened, wrong.booked) == (4, 3), "one is missing, and what is unknown is not booked"
    right = trading.reconcile(provider)
    assert (right.opened, right.closed, trading.discrepancies()) == (0, 4, [])
    assert right.booked == 3, "the missing one, and two that are corrected"
    price = trading.price_of(provider)
    fees = 4 * FEES[provider]
    assert trading.balances() == {"fees": fees, "bank": 4 * price - fees, "sales": -4 * price}


def test_a_discrepancy_shows_our_amount_and_theirs(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    lines = json.loads(trading.file("kpay"))
    lines[0] |= {"amount": 119999, "fee": 3370, "net": 116629}
    trading.reconcile("kpay", json.dumps(lines).encode())
    stands = settlement_day.of_day("kpay", trading.day)
    amount, fee = stands.differences
    assert (amount.cause, amount.ours, amount.theirs) == ("amount", trading.shop.price(), amount.theirs)
    assert amount.theirs and amount.theirs.amount == 119999
    assert fee.ours and fee.theirs and (fee.cause, fee.ours.amount, fee.theirs.amount) == ("fee", 3360, 3370)
    assert "NT$1,200.00" in amount.description and "NT$1,199.99" in amount.description
    (total,) = stands.totals
    assert (total.handed_over.amount, total.owed.amount) == (116629, 1), "the difference is still owed"


def test_a_change_of_an_open_discrepancy_is_published_again(trading: Trading) -> None:
    order = trading.paid("kpay")
    trading.day_is_over()
    (line,) = _lines(trading, "kpay")
    opened = []
    for amount in (119999, 119999, 50000):
        bent = line | {"amount": amount, "net": amount - 3360}
        trading.shop.wait(minutes=1)
        opened.append(trading.reconcile("kpay", json.dumps([bent]).encode()).opened)
    assert opened == [1, 0, 1]
    assert trading.events(order).count("settlement.disagrees") == 2
    assert trading.shop.count(Discrepancy) == 1
    trading.shop.turn(seconds=31)
    assert [alert.observed["amount"] for alert in store.open_alerts(rule="RULE_F")] == [50000]


def test_a_line_in_another_currency_shows_our_amount_in_our_currency(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    (line,) = _lines(trading, "kpay")
    for currency in ("TWD", "USD"):
        bent = line | {"amount": 119999, "net": 119999 - 3360, "currency": currency}
        trading.reconcile("kpay", json.dumps([bent]).encode())
    (amount,) = settlement_day.of_day("kpay", trading.day).differences
    assert (amount.cause, amount.ours, amount.theirs) == ("amount", trading.shop.price(), None)


def test_a_capture_that_only_the_file_reports_pays_its_order(trading: Trading, provider: str) -> None:
    order = trading.order(provider)
    trading.pay(order)
    run = trading.reconcile(provider)
    assert trading.shop.state(order) == "PAID"
    assert len(run.applied) == run.booked == 1
    assert trading.discrepancies() == []
    assert trading.capture(order).source == "settlement file"


def test_a_refund_that_only_the_file_knows_to_be_done_is_done(trading: Trading) -> None:
    order = trading.paid("tpay")
    trading.refund(order, 20000)
    trading.pass_until(f"{trading.day}T12:30:00Z")  # after their cut-off at 20:00
    assert trading.shop.state(order) == "PAID", "nobody has asked since"
    run = trading.reconcile("tpay")
    assert (trading.shop.state(order), len(run.applied)) == ("PARTIALLY_REFUNDED", 1)


def test_a_refund_that_fails_later_is_known_from_the_file_of_that_day(trading: Trading) -> None:
    order = trading.paid("kpay", card="4000000000005126")
    trading.refund(order)
    assert trading.shop.state(order) == "REFUNDED"
    trading.day_is_over()
    failed = [line for line in _lines(trading, "kpay") if line["type"] == "refund_failed"]
    assert failed, "the acquirer tells of it in this file"
    run = trading.reconcile("kpay")
    assert trading.shop.state(order) == "PAID"
    assert run.applied == [f"refund:{failed[0]['refund_reference']}:failed"]
    assert trading.discrepancies() == []


def _lines(trading: Trading, provider: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(trading.file(provider))
    return found


def test_a_line_in_a_later_file_closes_the_missing_discrepancy(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    right = trading.file("kpay")
    trading.reconcile("kpay", b"[]")
    assert trading.discrepancies() == ["missing_there"]
    later = trading.reconcile("kpay", right, trading.day + timedelta(days=1))
    assert (later.booked, later.closed, trading.discrepancies()) == (1, 1, [])


def test_a_line_that_a_second_file_of_the_day_lacks_is_missing(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    trading.reconcile("kpay")
    trading.reconcile("kpay", b"[]")
    assert trading.discrepancies() == ["missing_there"]
    trading.reconcile("kpay")
    assert trading.discrepancies() == []


def test_a_line_that_is_there_twice_is_booked_once(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    (line,) = _lines(trading, "kpay")
    other = line | {"id": "capture_by_another_name"}
    run = trading.reconcile("kpay", json.dumps([line, line, other]).encode())
    assert (run.booked, trading.discrepancies()) == (1, ["twice", "twice"])
    assert trading.balances()["bank"] == 120000 - 3360


def test_the_same_line_in_the_file_of_another_day_is_booked_once(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    trading.reconcile("kpay")
    again = trading.reconcile("kpay", trading.file("kpay"), trading.day + timedelta(days=1))
    assert (again.booked, trading.discrepancies()) == (0, ["twice"])


def test_a_corrected_file_may_change_the_id_of_a_line(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    (line,) = _lines(trading, "kpay")
    trading.reconcile("kpay", json.dumps([line | {"id": "wrong", "amount": 100, "fee": 0, "net": 100}]).encode())
    assert [trading.reconcile("kpay").booked for _ in range(2)] == [1, 0]
    assert trading.discrepancies() == []
    assert trading.balances() == {"fees": 3360, "bank": 120000 - 3360, "sales": -120000}


def test_a_line_that_corrected_files_move_to_another_day_moves(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    there, next_day = trading.file("kpay"), trading.day + timedelta(days=1)
    trading.reconcile("kpay", there)
    trading.reconcile("kpay", b"[]")
    before = trading.balances()
    moved = trading.reconcile("kpay", there, next_day)
    assert (moved.booked, moved.closed, trading.discrepancies(), trading.balances()) == (1, 1, [], before)
    for day, raw in ((trading.day, b"[]"), (next_day, there)) * 2:
        again = trading.reconcile("kpay", raw, day)
        assert (again.booked, again.opened, again.closed) == (0, 0, 0)
    trading.reconcile("kpay", there)
    assert trading.discrepancies() == ["twice"], "now both days have it"


def test_a_line_whose_absence_was_accepted_may_come_in_the_file_of_another_day(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    there, next_day = trading.file("kpay"), trading.day + timedelta(days=1)
    for raw in (there, b"[]"):
        trading.reconcile("kpay", raw)
    acceptance.accept(db.session.scalars(db.select(Discrepancy.id)).one(), by=trading.shop.sam, reason="the next file")
    moved = trading.reconcile("kpay", there, next_day)
    assert (moved.booked, trading.discrepancies()) == (1, [])
    trading.reconcile("kpay", there)
    assert trading.discrepancies() == ["twice"], "now both days have it"


def test_an_accepted_absence_is_over_when_the_line_is_back(trading: Trading) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    there = trading.file("kpay")
    for raw in (there, b"[]"):
        trading.reconcile("kpay", raw)
    acceptance.accept(db.session.scalars(db.select(Discrepancy.id)).one(), by=trading.shop.sam, reason="the next file")
    trading.reconcile("kpay", there)
    trading.reconcile("kpay", there, trading.day + timedelta(days=1))
    assert trading.discrepancies() == ["twice"]
    trading.reconcile("kpay", b"[]", trading.day + timedelta(days=1))
    trading.reconcile("kpay", b"[]")
    assert trading.discrepancies() == ["missing_there"]


def test_a_file_given_for_the_wrong_day_is_corrected_by_the_right_files(trading: Trading, provider: str) -> None:
    trading.paid(provider)
    trading.day_is_over()
    today = trading.day + timedelta(days=1)
    trading.paid(provider)
    trading.pass_until(f"{today + timedelta(days=1)}T03:00:00Z")
    trading.reconcile(provider, trading.file(provider), today)
    for day in (today, trading.day, today):
        trading.reconcile(provider, day=day)
    assert trading.discrepancies() == []
    assert [settlement_day.of_day(provider, day).totals[0].lines for day in (trading.day, today)] == [1, 1]
    assert trading.balances()["fees"] == 2 * FEES[provider]


def test_a_refund_that_is_not_ours_is_booked_as_an_outside_refund(trading: Trading) -> None:
    order = trading.paid("kpay")
    payment = trading.shop.payment(order)
    trading.day_is_over()
    (line,) = _lines(trading, "kpay")
    theirs = line | {
        "id": "refund_x",
        "type": "refund",
        "refund": "re_x",
        "refund_reference": "NOT-OURS",
        "amount": -500,
        "fee": 0,
        "net": -500,
    }
    run = trading.reconcile("kpay", json.dumps([line, theirs]).encode())
    assert (run.booked, run.applied, trading.discrepancies()) == (2, ["refund:kpay:re_x"], [])
    (refund,) = trading.shop.refunds(order)
    assert (refund.kind, refund.state, refund.payment_id, refund.amount) == ("outside", "DONE", payment.id, 500)
    assert trading.shop.state(order) == "PARTIALLY_REFUNDED"


@pytest.mark.parametrize("kind", ["capture", "refund", "dispute"])
def test_an_unidentified_line_is_left_to_staff_and_the_rest_is_booked(trading: Trading, kind: str) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    (line,) = _lines(trading, "kpay")
    sign = 1 if kind == "capture" else -1
    about_nothing = {"id": "x", "type": kind, "capture": None, "refund_reference": None, "dispute": None}
    about_nothing |= {"refund": None, "amount": sign * line["amount"], "net": sign * line["amount"] - line["fee"]}
    run = trading.reconcile("kpay", json.dumps([line | about_nothing, line]).encode())
    assert (run.booked, run.applied, trading.discrepancies()) == (1, [], ["missing_here"])


def test_today_is_compared_as_far_as_its_file_goes(trading: Trading) -> None:
    trading.paid("kpay")
    early = trading.file("kpay")
    trading.pass_until(f"{trading.day}T04:00:00Z")
    trading.paid("kpay")
    run = trading.reconcile("kpay", early)
    assert (run.booked, trading.discrepancies()) == (1, []), "what is younger than the file is not missing in it"


def test_a_chargeback_that_only_the_file_reports_is_booked_and_won_back(trading: Trading) -> None:
    order = trading.paid("tpay")
    trading.acquirer.act(trading.shop.payment(order).id, "dispute")
    run = trading.reconcile("tpay")
    assert len(run.applied) == 1
    assert trading.balances() == {"fees": 3300, "bank": -3300, "sales": -120000, "disputes": 120000}
    assert (trading.shop.state(order), trading.discrepancies()) == ("PAID", [])


def test_a_chargeback_line_before_the_line_of_its_unknown_capture_is_applied_after_it(trading: Trading) -> None:
    order = trading.order("tpay")
    trading.pay(order)
    trading.acquirer.act(trading.shop.payment(order).id, "dispute")
    head, *rows = trading.file("tpay").splitlines(keepends=True)
    run = trading.reconcile("tpay", head + b"".join(reversed(rows)))
    assert (len(run.applied), run.booked, trading.discrepancies()) == (2, 2, [])
    assert trading.shop.state(order) == "PAID"


def test_eight_at_once_book_every_line_once(trading: Trading, race: Race) -> None:
    for _ in range(3):
        trading.paid("kpay")
    trading.day_is_over()
    raw = trading.file("kpay", discrepancies=2)
    results = race(lambda _: reconcile.reconcile("kpay", trading.day, raw, by=Actor.operator()))
    assert not [one for one in results if isinstance(one, Exception)], results
    assert sum(one.booked for one in results) == trading.shop.count(SettlementLineRow) == 2
    assert sum(one.opened for one in results) == trading.shop.count(Discrepancy) == 2
    db.session.rollback()
    assert db.session.scalar(db.select(db.func.count()).where(Journal.kind == "settled")) == 2


CORRUPTIONS = (
    ("UPDATE settlement_lines SET fee = fee + 1", "UPDATE settlement_lines SET fee = fee - 1"),
    ("UPDATE settlement_lines SET amount = amount + 1", "UPDATE settlement_lines SET amount = amount - 1"),
    *(
        (
            f"UPDATE ledger_entries SET amount = amount + 1 WHERE account = '{account}'",
            f"UPDATE ledger_entries SET amount = amount - 1 WHERE account = '{account}'",
        )
        for account in ("fees", "bank", "disputes")
    ),
    ("UPDATE disputes SET state = 'WON'", "UPDATE disputes SET state = 'OPEN'"),
)
"""Corruptions of settled lines and disputes, and their repair."""


def test_every_corruption_of_settlements_and_disputes_is_found(trading: Trading) -> None:
    order = trading.paid("tpay")
    trading.acquirer.act(trading.shop.payment(order).id, "dispute")
    trading.reconcile("tpay")
    trading.shop.is_sound()
    for corruption, truth in CORRUPTIONS:
        assert db.session.execute(db.text(corruption)).rowcount, "the data was not changed"  # type: ignore[attr-defined]
        db.session.commit()
        assert "3 settlement" in broken(), corruption
        db.session.execute(db.text(truth))
        db.session.commit()


def test_what_was_settled_can_be_paid_out(trading: Trading) -> None:
    trading.refund(trading.paid("kpay"), 20000)
    trading.day_is_over()
    trading.reconcile("kpay")
    assert funds.available("TWD") == Money(120000 - 20000 - 3360, "TWD")


# --- unreadable or missing files ---


def test_a_file_that_cannot_be_read_changes_nothing(shop: Shop) -> None:
    today = clock.now().date()
    for name in PROVIDERS:
        for raw in (b"", b"{}", b"hello", b"\xff\xfe", b'[{"id":1}]', b"id,type\r\n1,capture\r\n"):
            with pytest.raises(BadInput, match="no settlement file"):
                reconcile.reconcile(name, today, raw, by=Actor.operator())
    assert (shop.count(SettlementLineRow), shop.count(Discrepancy)) == (0, 0)


def test_the_file_of_another_day_is_refused_and_changes_nothing(trading: Trading, provider: str) -> None:
    trading.paid(provider)
    trading.pass_until(f"{trading.day + timedelta(days=6)}T03:00:00Z")
    raw = trading.file(provider)
    for days, output in ((-1, f"is of {trading.day}"), (5, f"is of {trading.day}"), (30, "has not begun")):
        with pytest.raises(BadInput, match=output):
            trading.reconcile(provider, raw, trading.day + timedelta(days=days))
    assert (trading.shop.count(SettlementLineRow), trading.shop.count(Discrepancy)) == (0, 0)
    assert trading.reconcile(provider, raw).booked == 1


def test_two_different_lines_with_one_id_are_refused_and_change_nothing(trading: Trading) -> None:
    trading.refund(trading.paid("kpay"), 20000)
    trading.day_is_over()
    lines = [line | {"id": "same"} for line in _lines(trading, "kpay")]
    with pytest.raises(BadInput, match="called same and are about different things"):
        trading.reconcile("kpay", json.dumps(lines).encode())
    assert (trading.shop.count(SettlementLineRow), trading.reconcile("kpay").booked) == (0, 2)


def test_a_day_that_has_not_begun_and_a_provider_that_is_none_are_refused(shop: Shop) -> None:
    with pytest.raises(BadInput, match="has not begun"):
        reconcile.fetch("kpay", clock.now().date() + timedelta(days=2))
    with pytest.raises(BadInput, match="no provider"):
        reconcile.fetch("nopay", clock.now().date())


def test_an_acquirer_that_does_not_answer_is_away(shop: Shop) -> None:
    """The tests' shop has an address without a listener."""
    for name in PROVIDERS:
        shop.app.config[f"{name.upper()}_MOCKED"] = True
        with pytest.raises(Away, match="did not give its file"):
            reconcile.fetch(name, clock.now().date() - timedelta(days=1))


@pytest.mark.parametrize("name", ["paypay", "tpay"])
def test_without_an_api_for_settlement_files_staff_have_to_supply_them(shop: Shop, name: str) -> None:
    with pytest.raises(Refusal, match="has no call"):
        reconcile.fetch(name, clock.wall().date() - timedelta(days=2))


def test_kpays_csv_has_the_same_lines_as_its_json(trading: Trading) -> None:
    trading.refund(trading.paid("kpay"), 5000)
    kpay = reconcile._provider("kpay")
    as_csv = trading.file("kpay", format="csv")
    assert kpay.read_settlement(as_csv) == kpay.read_settlement(trading.file("kpay"))
    assert len(list(csv.reader(io.StringIO(as_csv.decode())))) == 3


# --- the command ---


SAM = ("--by", "sam@example.com")


def command(shop: Shop, *args: str) -> tuple[int, str]:
    db.session.rollback()
    done = shop.app.test_cli_runner().invoke(args=["reconcile", *args])
    return done.exit_code, done.stdout if done.exit_code != 2 else done.output


@pytest.mark.parametrize("day", ["0001-01-01", "0001-12-31", "9999-12-31"])
def test_a_day_at_an_end_of_the_calendar_is_refused(trading: Trading, day: str) -> None:
    code, message = command(trading.shop, day)
    assert code == 1
    assert all(f"{name}, {day}: There is no such day.\n" in message for name in PROVIDERS)


def test_a_provider_that_is_not_utf8_is_refused(trading: Trading) -> None:
    code, message = command(trading.shop, str(trading.day), "--provider", "kpay\udcff")
    assert (code, "not valid UTF-8" in message) == (2, True)


def test_the_command_reconciles_every_provider_and_ends_with_0_when_all_agree(trading: Trading) -> None:
    for name in PROVIDERS:
        trading.paid(name)
    trading.day_is_over()
    code, message = command(trading.shop, str(trading.day))
    assert code == 0, message
    assert all(f"{label}, {trading.day}: agrees" in message for label in ("KPay", "PayPay", "Stripe", "Tpay"))


def test_the_command_ends_with_1_and_names_every_discrepancy(trading: Trading, tmp_path: Path) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    path = tmp_path / "file"
    path.write_bytes(trading.file("kpay", discrepancies=2))
    assert trading.shop.sam, "the account of --by"
    code, message = command(trading.shop, str(trading.day), "--provider", "kpay", "--file", str(path), *SAM)
    assert code == 1
    assert "missing there" in message and "unknown" in message
    code, output = command(trading.shop, str(trading.day), "--provider", "kpay", "--file", str(path), "--json", *SAM)
    assert code == 1
    assert {one["cause"] for one in json.loads(output)[0]["discrepancies"]} == {"missing_there", "unknown"}


@pytest.mark.parametrize(
    ("args", "code", "output"),
    [
        (("yesterday",), 2, "does not match"),
        (("2026-02-30",), 2, "does not match"),
        (("2999-01-01", "--provider", "kpay"), 1, "has not begun"),
        (("2026-01-01", "--provider", "nopay"), 1, "no provider"),
        (("2026-01-01", "--file", "README.md"), 2, "--provider"),
        (("2026-01-01", "--file", "README.md", "--provider", "kpay"), 2, "--by"),
        (("0001-01-01", "--provider", "tpay"), 1, "no such day"),
    ],
)
def test_bad_input_gets_a_clear_sentence(shop: Shop, args: tuple[str, ...], code: int, output: str) -> None:
    ended, message = command(shop, *args)
    assert (ended, "Traceback" in message) == (code, False)
    assert output in message


# --- files that a person brings ---


def bring(trading: Trading, raw: bytes) -> reconcile.Reconciliation:
    return reconcile.reconcile("kpay", trading.day, raw, by=trading.shop.sam)


def test_a_file_that_a_person_brings_pays_no_order_and_the_acquirer_is_asked(trading: Trading) -> None:
    order = trading.order("kpay")
    payment = trading.shop.payment(order)
    line = {"id": "by-hand", "type": "capture", "reference": payment.id, "capture": "cap_by_hand", "refund": None}
    line |= {"amount": 120000, "fee": 3360, "net": 116640, "currency": "TWD", "at": f"{trading.day}T03:30:00Z"}
    asked = payment.polled_at
    run = bring(trading, json.dumps([line | {"refund_reference": None, "dispute": None}]).encode())
    assert (run.booked, run.applied, run.waiting, trading.discrepancies()) == (0, [], 1, ["missing_here"])
    trading.shop.wait(seconds=3)
    trading.shop.sweep()
    assert trading.shop.payment(order).polled_at != asked, "the acquirer was asked"
    assert (trading.shop.state(order), trading.balances(), funds.available("TWD").amount) == ("WAITING_PAYMENT", {}, 0)


def test_a_capture_in_a_file_that_a_person_brings_is_booked_when_the_acquirer_has_confirmed_it(
    trading: Trading,
) -> None:
    order = trading.order("kpay")
    trading.pay(order)
    raw = trading.file("kpay")
    assert bring(trading, raw).waiting == 1
    trading.shop.wait(seconds=3)
    trading.shop.sweep()
    assert (trading.shop.state(order), trading.discrepancies()) == ("PAID", ["missing_here"])
    again = bring(trading, raw)
    assert (again.booked, again.waiting, again.closed, trading.discrepancies()) == (1, 0, 1, [])


@pytest.mark.parametrize(
    ("changed", "causes"),
    [
        ({"amount": 9_000_000, "net": 9_000_000 - 3360}, ["amount"]),
        ({"fee": -500_000, "net": 620_000}, ["fee"]),
        ({"currency": "USD"}, ["amount"]),
    ],
)
def test_a_line_of_more_than_we_know_of_is_not_booked_from_a_file_that_a_person_brings(
    trading: Trading, changed: dict[str, object], causes: list[str]
) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    (line,) = _lines(trading, "kpay")
    bent = json.dumps([line | changed]).encode()
    run = bring(trading, bent)
    assert (run.booked, run.waiting, trading.discrepancies()) == (0, 1, causes)
    assert (funds.available("TWD").amount, "bank" in trading.balances()) == (0, False)
    assert trading.reconcile("kpay", bent).booked == 1, "in a file of the acquirer the money is in the bank"


def test_a_won_dispute_and_a_failed_refund_bring_no_money_by_the_word_of_a_person(trading: Trading) -> None:
    refund = trading.refund(trading.paid("kpay"), 20000)
    trading.day_is_over()
    capture, done = _lines(trading, "kpay")
    failed = done | {"id": "f", "type": "refund_failed", "amount": 20000, "fee": 0, "net": 20000}
    won = capture | {"id": "w", "type": "dispute_won", "dispute": "dp_1"}
    run = bring(trading, json.dumps([capture, done, failed, won]).encode())
    assert (run.booked, run.waiting, run.applied) == (2, 2, [])
    assert db.session.get_one(Refund, refund, populate_existing=True).state == "DONE"
    assert funds.available("TWD") == Money(120000 - 20000 - 3360, "TWD")
