"""First page of the console: what needs a person, most urgent first."""

from __future__ import annotations

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from shop.accounts import people
from shop.accounts.permissions import Role
from shop.alerts import claims, store
from shop.alerts.models import ToDoClaim
from shop.core import clock, heartbeat
from shop.core.audit_search import find
from shop.core.db import transaction
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.payments.refunds import requests
from tests.ops.conftest import visitor_as
from tests.ops.test_alerts import alert
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop
from tests.web.test_page_statements import sent_for


def kinds(page: str) -> list[str]:
    return re.findall(r'<td[^>]*><span class="chip \w+">([^<]+)</span></td>', page)


def record_heartbeat(age: float = 0.0) -> None:
    """A heartbeat of the clock, `age` seconds ago."""
    with transaction():
        heartbeat.write("clock", clock.wall() - timedelta(seconds=age))


def test_with_nothing_to_do_the_page_shows_the_heartbeat_of_the_checker(shop: Shop) -> None:
    support = visitor_as(shop, "support")
    page = support.get("/ops").text
    assert "Nothing to do" not in page and "Not checked yet: the clock process is not running." in page
    record_heartbeat(age=3)
    page = support.get("/ops").text
    assert "not running" not in page and re.search(r"Nothing to do. Checked [345] s ago\.", page)
    record_heartbeat(age=600)
    page = support.get("/ops").text
    at = (clock.wall() - timedelta(seconds=600)).astimezone(ZoneInfo(shop.app.config["SHOP_TIME_ZONE"]))
    assert re.search(rf"Not checked since <time [^>]+>{at:%Y-%m-%d %H:%M}:\d\d</time>: the clock process is not", page)
    assert "Nothing to do" not in page


def test_what_needs_a_person_is_listed_with_severe_alerts_first(shop: Shop) -> None:
    order = shop.paid_order()
    requests.request(shop.capture(order), Money(20000, "TWD"), reason="", by=shop.sam, to="bank")
    alert("inbox 7", "OPS_DEAD_LETTER"), alert()
    page = visitor_as(shop, "finance").get("/ops").text
    assert kinds(page) == ["Alert P1", "Approval", "Alert P2"]
    assert order.number in page and "NT$200" in page


def test_merchandisers_see_nothing_about_money(shop: Shop) -> None:
    alert()
    assert kinds(visitor_as(shop, "merchandiser").get("/ops").text) == []


def test_a_thing_is_claimed_by_one_person_and_the_other_reads_who_has_it(shop: Shop) -> None:
    number = alert("inbox 7", "OPS_DEAD_LETTER")
    support, finance = visitor_as(shop, "support"), visitor_as(shop, "finance")
    support.get("/ops"), finance.get("/ops")
    assert support.post("/ops/to-do/claim", {"thing": f"alert {number}"}).status_code == 303
    answer = finance.post("/ops/to-do/claim", {"thing": f"alert {number}"})
    assert answer.status_code == 409 and "support@example.com has already claimed this." in answer.text
    page = support.get("/ops?owner=me").text
    assert "Mine: 1" in page and kinds(page) == ["Alert P2"] and ">support@example.com</td>" in page
    assert kinds(finance.get("/ops?owner=none").text) == []
    assert finance.post("/ops/to-do/release", {"thing": f"alert {number}"}).status_code == 303
    assert finance.post("/ops/to-do/release", {"thing": f"alert {number}"}).status_code == 409
    assert [one.act for one in find().rows[:2]] == ["to_do.released", "to_do.claimed"]


@pytest.mark.parametrize("thing", ["", "order 7", "alert ", f"alert {'7' * 61}", "alert <7>\u00e9"])
def test_only_things_to_do_are_claimed(shop: Shop, thing: str) -> None:
    support = visitor_as(shop, "support")
    support.get("/ops")
    assert support.post("/ops/to-do/claim", {"thing": thing}).status_code == 422


@pytest.mark.parametrize("thing", ["alert 7", "alert x", f"alert {'9' * 60}", "approval P1", "approval roles-7"])
def test_a_thing_that_is_not_to_do_is_not_claimed(shop: Shop, thing: str) -> None:
    support = visitor_as(shop, "support")
    support.get("/ops")
    answer = support.post("/ops/to-do/claim", {"thing": thing})
    assert answer.status_code == 409 and "It may have been done meanwhile." in answer.text
    assert shop.count(ToDoClaim) == 0


def test_every_kind_of_thing_is_claimed_while_it_is_open(shop: Shop) -> None:
    order = shop.paid_order()
    refund = requests.request(shop.capture(order), Money(20000, "TWD"), reason="", by=shop.sam, to="bank")
    admin, bo = visitor_as(shop, "admin"), shop.colleague("bo", Role.SUPPORT)
    requested = people.set_roles(
        bo.user_id or 0, ["finance", "support"], by=shop.colleague("ann", Role.ADMIN), reason="x"
    )
    number = alert()
    page = admin.get("/ops").text
    assert kinds(page).count("Approval") == 2 and 'href="/ops/users"' in page
    for thing in (f"approval {refund.id}", f"approval roles-{requested.request}", f"alert {number}"):
        claims.claim(thing, shop.sam)
    store.resolve(number, shop.sam)
    with pytest.raises(Refusal, match="done meanwhile"):
        claims.claim(f"alert {number}", shop.kim)


def test_of_two_claims_at_once_one_wins(shop: Shop, race: Race) -> None:
    staff, wins, number = [shop.sam, shop.kim], [], alert()

    def claim(caller: int) -> None:
        try:
            claims.claim(f"alert {number}", staff[caller % 2])
            wins.append(caller)
        except Refusal as refusal:
            assert "has already claimed this" in refusal.message

    race(claim)
    assert len(wins) == 1


def test_an_alert_is_acknowledged_from_the_list_and_has_an_owner(shop: Shop) -> None:
    number, support = alert(), visitor_as(shop, "support")
    page = support.get("/ops").text
    assert 'data-key="e"' in page
    answer = support.post(f"/ops/alerts/{number}/acknowledge", {"to": "to_do"})
    assert answer.status_code == 303 and answer.headers["Location"] == "/ops"
    page = support.get("/ops").text
    assert 'data-key="e"' not in page and ">support@example.com</td>" in page


def test_the_list_shows_the_next_automatic_step_of_an_order_and_its_amount(shop: Shop) -> None:
    order = shop.order()
    with transaction():
        observed = {"amount": 120000, "currency": "TWD"}
        store.raise_alert(store.Cause("RULE_A", order.number, "c", "watch", observed, {}, order.id, order.number))
    page = visitor_as(shop, "support").get("/ops").text
    assert re.search(r"Asks \w+ about the payment, ", page) and "NT$1,200" in page
    assert f'<a href="/ops/orders/{order.number}">{order.number}</a>' in page and ">0 min</time>" in page


def test_every_number_is_a_link_to_its_list(shop: Shop) -> None:
    alert("inbox 7", "OPS_DEAD_LETTER"), alert()
    page = visitor_as(shop, "finance").get("/ops").text
    assert '<a class="button quiet small" href="/ops/alerts">Alerts: 2</a>' in page
    assert 'href="/ops/alerts?rule=OPS_DEAD_LETTER">Task failed after all retries: 1</a>' in page


@pytest.mark.parametrize(
    ("query", "sentence"), [("colour=red", "The only one is owner."), ("owner=sam", "Owners are me, none.")]
)
def test_unknown_filters_of_the_list_are_refused(shop: Shop, query: str, sentence: str) -> None:
    answer = visitor_as(shop, "support").get(f"/ops?{query}")
    assert answer.status_code == 422 and sentence in answer.text


def test_the_list_needs_the_same_statements_for_few_things_and_for_many(shop: Shop) -> None:
    order, finance = shop.paid_order(), visitor_as(shop, "finance")
    for rule in ("RULE_A", "RULE_C"):
        with transaction():
            store.raise_alert(store.Cause(rule, order.number, "c", "watch", {}, {}, order.id, order.number))
        store.acknowledge(store.open_alerts(rule=rule)[0].id, shop.sam)
    few = sent_for(finance, "/ops")
    for number in range(5):
        store.acknowledge(alert(f"inbox {number}", "OPS_DEAD_LETTER"), shop.kim)
    assert len(sent_for(finance, "/ops")) == len(few)
    of_page, things, of_people_and_steps = ["users", "heartbeats"], ["refunds"], ["payments"]  # each of them one UNION
    first_tables = [match[1] for one in few if (match := re.search(r"\bFROM ([a-z]\w+)", one))]
    assert first_tables == [*of_page, *things, *of_people_and_steps]
