"""Settlement of a day, in each dialect's own file, and its seeded discrepancies."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from mock_acquirer import dialect_interface, engine
from mock_acquirer.models import Payment
from mock_acquirer.settlement import Draws, Settlement, disagree, lines
from tests.acquirer.conftest import RETURN, World

TOKYO = timezone(timedelta(hours=9))
RUN = "default"


def now(acquirer: World) -> datetime:
    return datetime.fromisoformat(acquirer.sim("GET", "/clock")["now"])


def at_noon(acquirer: World) -> str:
    """Advance the clock to noon UTC, so that no day ends during the test; returns the day."""
    tomorrow = (now(acquirer) + timedelta(days=1)).date()
    acquirer.sim("POST", "/clock/advance", {"to": f"{tomorrow}T12:00:00Z"})
    return str(tomorrow)


def paid(acquirer: World, **card: str) -> dict[str, Any]:
    payment = acquirer.open()
    acquirer.approve(payment, **card)
    return payment


def refund(acquirer: World, payment: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = acquirer.api("POST", f"/payments/{payment['id']}/refunds", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json  # type: ignore[return-value]


def fetched(acquirer: World, dialect: str, day: str, query: str = "", status: int = 200) -> Any:
    bearer = {"Authorization": "Bearer sim_demo"}
    answer = acquirer.app.test_client().get(f"/_sim/settlement/{dialect}/{day}{query}", headers=bearer)
    assert answer.status_code == status, answer.text
    return answer


def rows(acquirer: World, dialect: str, day: str, query: str = "", charset: str = "utf-8") -> list[dict[str, str]]:
    answer = fetched(acquirer, dialect, day, query)
    assert answer.content_type == f"text/csv; charset={charset}"
    return list(csv.DictReader(io.StringIO(answer.data.decode(charset))))


def other(acquirer: World, dialect: str, amount: int, currency: str, **wire: Any) -> str:
    """A payment of another dialect, opened and captured in the engine; returns its id."""
    with acquirer.app.app_context():
        session = engine.Session(
            run=RUN,
            dialect=dialect,
            merchant="demo",
            reference=f"{dialect}1",
            amount=amount,
            currency=currency,
            return_url=RETURN,
            webhook_url="",
            expires_at=engine.default_end(acquirer.app.config.get("RUN", RUN), 600),
            wire=wire,
        )
        return engine.open_session(session).id


def test_kpay_lists_every_movement_of_the_day_with_its_fee(acquirer: World) -> None:
    day = at_noon(acquirer)
    payment = paid(acquirer)
    given = refund(acquirer, payment, amount=20000, reference="R1")
    capture = acquirer.shown(payment)["captures"][0]["id"]
    taken, back = fetched(acquirer, "kpay", day).json
    assert taken.pop("at").startswith(day) and back.pop("at").startswith(day)
    common = {"payment": payment["id"], "reference": payment["reference"], "capture": capture, "currency": "TWD"}
    nothing = {"refund": None, "refund_reference": None, "dispute": None}
    assert taken == common | nothing | {
        "id": f"capture_{capture}",
        "type": "capture",
        "amount": 120000,
        "fee": 3360,
        "net": 116640,
    }
    assert back == common | nothing | {
        "id": f"refund_{given['id']}",
        "type": "refund",
        "refund": given["id"],
        "refund_reference": "R1",
        "amount": -20000,
        "fee": 0,
        "net": -20000,
    }
    as_csv = rows(acquirer, "kpay", day, "?format=csv")
    assert [(row["type"], row["amount"], row["fee"], row["refund"]) for row in as_csv] == [
        ("capture", "120000", "3360", ""),
        ("refund", "-20000", "0", given["id"]),
    ]
    own = acquirer.api("GET", f"/settlements/{day}")
    assert own.json == fetched(acquirer, "kpay", day).json
    assert acquirer.api("GET", f"/settlements/{day}?format=csv").content_type == "text/csv; charset=utf-8"


def test_refunds_count_on_the_day_they_succeed_and_come_back_on_the_day_they_fail(acquirer: World) -> None:
    day = at_noon(acquirer)
    failing, waiting = paid(acquirer, card="4000000000005126"), paid(acquirer, card="4000000000007726")
    acquirer.sim("POST", "/clock/advance", {"to": f"{day}T23:59:30Z"})
    refund(acquirer, failing)
    refund(acquirer, waiting)
    next_day = str(date.fromisoformat(day) + timedelta(days=1))
    fetched(acquirer, "kpay", next_day, status=404)
    acquirer.advance("PT1M")
    assert [line["type"] for line in fetched(acquirer, "kpay", day).json] == ["capture", "capture", "refund"]
    after = [(line["type"], line["amount"]) for line in fetched(acquirer, "kpay", next_day).json]
    assert sorted(after) == [("refund", -120000), ("refund_failed", 120000)]


def test_a_chargeback_takes_the_money_and_a_won_one_brings_it_back(acquirer: World) -> None:
    day = at_noon(acquirer)
    payment = paid(acquirer)
    acquirer.sim("POST", f"/payments/{payment['id']}/dispute", {})
    acquirer.sim("POST", f"/payments/{payment['id']}/dispute", {"outcome": "won"})
    found = fetched(acquirer, "kpay", day).json
    assert [(line["type"], line["amount"]) for line in found] == [
        ("capture", 120000),
        ("dispute", -120000),
        ("dispute_won", 120000),
    ]


def test_paypay_writes_shift_jis_with_negative_refunds_and_days_of_tokyo(acquirer: World) -> None:
    day = at_noon(acquirer)
    acquirer.sim("POST", "/clock/advance", {"to": f"{day}T16:00:00Z"})  # 1 a.m. in Tokyo, the next day
    name = other(acquirer, "paypay", 1200, "JPY")
    acquirer.sim("POST", f"/payments/{name}/approve", {})
    with acquirer.app.app_context():
        found = engine.find(RUN, name)
        assert isinstance(found, Payment)
        engine.refund(found, 500, "R1")
    assert rows(acquirer, "paypay", day, charset="shift_jis") == []
    next_day = str(date.fromisoformat(day) + timedelta(days=1))
    taken, back = rows(acquirer, "paypay", next_day, charset="shift_jis")
    assert (taken["取引ステータス"], taken["取引金額"], taken["手数料"]) == ("取引完了", "1200", "24")
    assert (back["取引ステータス"], back["取引金額"], back["マーチャント返金ID"]) == ("返金完了", "-500", "R1")
    assert taken["マーチャント決済ID"] == "paypay1" and taken["取引日時"].startswith(next_day.replace("-", "/"))


def test_tpay_writes_whole_dollars_and_gives_the_fee_of_a_void_back(acquirer: World) -> None:
    day = at_noon(acquirer)
    name = other(acquirer, "tpay", 123400, "TWD", MerchantID="3002607")
    acquirer.sim("POST", f"/payments/{name}/approve", {})
    with acquirer.app.app_context():
        found = engine.find(RUN, name)
        assert isinstance(found, Payment)
        engine.refund(found, None, "R1", wire={"RefundType": "Void"})
    taken, back = rows(acquirer, "tpay", day)
    assert (taken["Type"], taken["TradeAmt"], taken["Fee"], taken["NetAmt"]) == ("Sale", "1234", "34", "1200")
    assert (back["Type"], back["TradeAmt"], back["Fee"], back["NetAmt"]) == ("Void", "-1234", "-34", "-1200")


def test_stripe_lists_balance_transactions(acquirer: World) -> None:
    day = at_noon(acquirer)
    name = other(acquirer, "stripe", 1000, "USD")
    acquirer.sim("POST", f"/payments/{name}/approve", {})
    shown = fetched(acquirer, "stripe", day).json
    (one,) = shown["data"]
    assert (shown["object"], one["type"], one["amount"], one["fee"], one["net"]) == ("list", "charge", 1000, 29, 971)
    assert one["source"].startswith("ch_") and one["currency"] == "usd"


def seeded(acquirer: World, day: str, query: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    answer = fetched(acquirer, "kpay", day, query)
    return answer.json, json.loads(answer.headers.get("X-Sim-Discrepancies", "[]"))


def test_discrepancies_are_seeded_and_the_same_each_time(acquirer: World) -> None:
    day = at_noon(acquirer)
    for _ in range(6):
        paid(acquirer)
    honest, none = seeded(acquirer, day, "")
    assert none == []
    bent, made = seeded(acquirer, day, "?discrepancies=4&seed=7")
    assert [one["kind"] for one in made] == ["missing", "unknown", "fee_drift", "amount_drift"]
    assert (bent, made) == seeded(acquirer, day, "?discrepancies=4&seed=7")
    assert (bent, made) != seeded(acquirer, day, "?discrepancies=4&seed=8")
    was, is_now = ({line["capture"]: line for line in found} for found in (honest, bent))
    assert [made[0]["source"]] == [name for name in was if name not in is_now]
    assert [made[1]["source"]] == [name for name in is_now if name not in was]
    for one, part in ((made[2], "fee"), (made[3], "amount")):
        assert (was[one["source"]][part], is_now[one["source"]][part]) == (one["was"], one["shown"])
        assert one["was"] != one["shown"]
    assert sum(was[name] != is_now.get(name) for name in was) == 3
    assert seeded(acquirer, day, "") == (honest, [])


def test_an_empty_day_can_only_have_unknown_lines(acquirer: World) -> None:
    day = at_noon(acquirer)
    for name in ("kpay", "tpay", "paypay", "stripe"):
        answer = fetched(acquirer, name, day, "?discrepancies=3")
        made = json.loads(answer.headers["X-Sim-Discrepancies"])
        assert [one["kind"] for one in made] == ["unknown"] * 3


def test_other_runs_and_dialects_are_not_in_the_file(acquirer: World) -> None:
    day = at_noon(acquirer)
    elsewhere = acquirer.open(run="elsewhere")
    acquirer.approve(elsewhere, run="elsewhere")
    paid(acquirer)
    assert len(fetched(acquirer, "kpay", day).json) == 1
    assert fetched(acquirer, "stripe", day).json["data"] == []


def test_invalid_requests_are_refused_with_a_sentence(acquirer: World) -> None:
    day = at_noon(acquirer)
    for path, status in [
        (f"nopay/{day}", 404),
        ("kpay/tomorrow", 422),
        ("kpay/2026-13-01", 422),
        ("kpay/9999-12-31", 422),
        ("kpay/0001-01-01", 200),
        ("tpay/0001-01-01", 422),
        (f"kpay/{day}?format=pdf", 422),
        (f"kpay/{day}?discrepancies=-1", 422),
        (f"kpay/{day}?discrepancies=101", 422),
        (f"kpay/{day}?seed=x", 422),
    ]:
        name, _, rest = path.partition("/")
        assert fetched(acquirer, name, rest, status=status)


def test_half_a_unit_of_a_fee_is_rounded_up() -> None:
    fees = Settlement(day=UTC, fee_bps=250, currency="TWD", files={})
    assert [fees.fee(amount) for amount in (0, 19, 20, 59, 60, 1000)] == [0, 0, 1, 1, 2, 25]
    whole = Settlement(day=UTC, fee_bps=250, currency="TWD", files={}, unit=100)
    assert [whole.fee(amount) for amount in (1900, 2000, 6000)] == [0, 100, 200]


def test_the_same_seed_makes_the_same_share_of_each_discrepancy(acquirer: World) -> None:
    day = date.fromisoformat(at_noon(acquirer))
    for _ in range(3):
        paid(acquirer)
    with acquirer.app.app_context():
        kpay = dialect_interface.named("kpay").settlement
        assert kpay is not None
        found = lines(RUN, "kpay", kpay, day)
        bent, made = disagree(kpay, found, day, 8, Draws(1, "f"))
    assert Counter(one.kind for one in made) == {"missing": 1, "fee_drift": 1, "amount_drift": 1, "unknown": 5}
    assert len(bent) == 2 + 5
