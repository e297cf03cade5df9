"""Validation of the control API's bodies, and listing of armed faults."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from flask import Flask

from mock_acquirer import events, plans, schemas
from mock_acquirer.acts import ACTS
from mock_acquirer.dialects import discover
from mock_acquirer.scenarios import every, read
from mock_acquirer.scenarios.toml import written
from tests.acquirer.conftest import Receiver, World

Case = tuple[str, str, dict[str, Any], str]
TYPOS: list[Case] = [
    # method, path, body, text in the refusal
    ("POST", "/expect", {"payment": "P1", "delivered": "payment.captured", "trys": 7}, "'tries'"),
    ("POST", "/expect", {"payment": "P1", "delivered": "payment.captred"}, "'payment.captured'"),
    ("POST", "/expect", {"payment": "P1", "delivered": "checkout.session.completed"}, "'payment.captured'"),
    ("POST", "/expect", {"payment": "P1", "delivered": "payment.simulated"}, "No webhook is sent for it"),
    ("POST", "/payments/P1/approve", {"crad": "4242424242424242"}, "'card'"),
    ("POST", "/payments/P1/approve", {"card": ["4242424242424242"]}, "card must be"),
    ("POST", "/payments/P1/pay", {"card": {}}, "card must be"),
    ("POST", "/payments/P1/challenge", {"answer": []}, "answer is invalid"),
    ("POST", "/payments/P1/challenge", {"answer": "aprove"}, "'approve'"),
    ("POST", "/payments/P1/decline", {"code": "lost_crad"}, "'lost_card'"),
    ("POST", "/payments/P1/decline", {"code": "lost_card", "card": "4242424242424242"}, "not both"),
    ("POST", "/payments/P1/fail", {"why": "x"}, "has no keys"),
    ("POST", "/payments/P1/cancel", {"by": "x"}, "has no keys"),
    ("POST", "/payments/P1/dispute", {"resaon": "duplicate"}, "'reason'"),
    ("POST", "/payments/P1/dispute", {"kind": []}, "kind is invalid"),
    ("POST", "/clock/advance", {"bye": "PT1S"}, "'by'"),
    ("POST", "/clock/advance", {"by": "PT1S", "tooo": "x"}, "'to'"),
    ("PUT", "/faults", {"hook": {"match": "payment.captred", "drop": 1}}, "'payment.captured'"),
    ("PUT", "/faults", {"hook": {"match": "payment_intent.succeeded", "drop": 1}}, "'payment.captured'"),
    ("PUT", "/faults", {"hook": {"hold_until": "resnd"}}, "'resend'"),
    ("PUT", "/faults", {"hok": {"drop": 1}}, "'hook'"),
    ("PUT", "/faults", {"hook": {"dorp": 1}}, "'drop'"),
    ("PUT", "/faults", {"hook": {"match": "*"}}, "needs a fault"),
    ("PUT", "/faults", {"pay": {"times": 3}}, "needs a fault"),
    ("PUT", "/faults", {"pay": {"wrong_currency": []}}, "must be true"),
    ("PUT", "/faults", {"api": {"op": "strat", "do": "500"}}, "'start'"),
    ("PUT", "/faults", {"api": {"do": "500", "retry_after": 3}}, "belongs to the fault 429"),
    ("PUT", "/faults", {"api": {"op": "cancel", "do": "stale_query"}}, "query alone"),
    (
        "PUT",
        "/payments/P1/faults",
        {"hook": {"match": "payment.simulated", "drop": 1}},
        "No webhook is sent for it",
    ),
    ("PUT", "/endpoints/start/faults", {"hook": {"drop": 1}}, "would have no effect"),
    ("PUT", "/endpoints/start/faults", {"api": {"op": "query", "do": "500"}}, "would have no effect"),
    ("POST", "/scenario", {"nmae": "lost_webhook"}, "'name'"),
    ("POST", "/scenario", {"name": 3}, "name must be"),
    ("POST", "/payments/P1/scenario", {"nmae": "lost_webhook"}, "'name'"),
    ("POST", "/payments/P1/scenario", {}, "name is missing"),
    ("POST", "/payments/P1/scenario", {"name": "lost_webhook", "play": "no"}, "play must be true or false"),
    ("POST", "/report_card", {"dialect": "kpay", "ulr": "http://localhost/"}, "'url'"),
    ("POST", "/keys/rotate", {"overlapp": "PT1H"}, "'overlap'"),
    ("POST", "/keys/rotate", {"merchant": []}, "merchant must be"),
    ("POST", "/reset", {"run": "a"}, "has no keys"),
    ("GET", "/faults?paymnet=P1", {}, "'payment'"),
    ("GET", "/deliveries?paymnet=P1", {}, "'payment'"),
    ("GET", "/scenarios?dialect=kpya", {}, "'kpay'"),
    ("GET", "/totals?run=a", {}, "has no keys"),
]


@pytest.mark.parametrize("case", TYPOS, ids=lambda case: f"{case[1]} {case[2]}"[:60])
def test_a_misspelt_key_or_name_is_refused_and_the_nearest_known_one_is_named(acquirer: World, case: Case) -> None:
    method, path, body, named = case
    acquirer.open(reference="P1")
    before = acquirer.rows()
    error = acquirer.sim(method, path, body or None, status=422)["error"]
    assert named in error["message"]
    assert error["message"].endswith(".")
    assert acquirer.rows() == before


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("POST", "/payments/P1/aprove", "'approve'"),
        ("PUT", "/endpoints/strat/faults", "'start'"),
        ("POST", "/scenario", "'lost_webhook'"),
        ("POST", "/keys/rotate", "'stripe'"),
    ],
)
def test_a_misspelt_name_of_something_gets_the_nearest_one(acquirer: World, method: str, path: str, named: str) -> None:
    acquirer.open(reference="P1")
    body = {"/scenario": {"name": "lost_webhok"}, "/keys/rotate": {"dialect": "stirpe"}}.get(path)
    assert named in acquirer.sim(method, path, body, status=404)["error"]["message"]


def test_a_repeated_key_is_refused(acquirer: World) -> None:
    headers = {"Authorization": "Bearer sim_demo"}
    for body in ('{"hook": {"drop": 1}, "hook": {"drop": 2}}', '{"pay": {"double": true, "double": false}}'):
        answer = acquirer.app.test_client().put("/_sim/faults", headers=headers, data=body)
        assert answer.status_code == 422
    assert acquirer.sim("GET", "/faults")["armed"] == []


def test_a_resend_takes_only_faults_of_one_attempt(acquirer: World, receiver: Receiver) -> None:
    payment = acquirer.open()
    acquirer.approve(payment)
    acquirer.settle()
    (delivery,) = acquirer.sim("GET", f"/deliveries?payment={payment['id']}")["deliveries"]
    where = f"/deliveries/{delivery['id']}/resend"
    for body in ({"hook": {"delay": "PT5S"}}, {"api": []}, {"hook": [{"drop": 1}, {"drop": 1}]}, {"hok": {}}):
        acquirer.sim("POST", where, body, status=422)
    assert len(receiver.hooks) == 1
    acquirer.sim("POST", where, {"hook": [{"sign": "missing"}]})
    acquirer.settle()
    assert len(receiver.hooks) == 2


def test_expect_waits_without_being_told_to(make_world: Any) -> None:
    acquirer = make_world(ACQUIRER_LOOP="on")
    payment = acquirer.open()
    acquirer.sim("PUT", f"/payments/{payment['id']}/faults", {"hook": {"delay": "PT0.5S"}})
    acquirer.approve(payment)
    wanted = {"payment": payment["id"], "delivered": "payment.captured"}
    assert acquirer.sim("POST", "/expect", wanted)["met"]
    acquirer.app.extensions["acquirer.loop"].set()


def test_each_dialect_sends_exactly_the_events_that_it_declares(acquirer: World) -> None:
    known = discover()
    assert {event for dialect in known.values() for event in dialect.tells} == set(events.EVENTS)
    assert set(events.ALIASES.values()) <= set(events.EVENTS)
    assert set(known["tpay"].tells) == {"payment.captured", "payment.simulated"}


# --- armed faults are listed and can be disarmed


def test_everything_armed_is_shown_with_where_it_acts_and_how_often_it_still_can(acquirer: World) -> None:
    payment = acquirer.open(reference="P1")
    acquirer.faults(hook=[{"drop": 2}, {"delay": "PT1S", "times": 3}], seed=7)
    acquirer.sim("PUT", "/endpoints/query/faults", {"api": {"do": "500"}})
    acquirer.sim("POST", "/payments/P1/scenario", {"name": "charged_twice", "play": False})
    acquirer.sim("POST", "/scenario", {"name": "lost_webhook"})
    acquirer.submit(payment, "fate", pick="wrong_amount")
    shown = acquirer.sim("GET", "/faults")
    found = {(one["level"], one["on"], one["part"], one["scenario"]): one for one in shown["armed"]}
    assert set(found) == {
        ("global", "everything", "hook", None),
        ("endpoint", "query", "api", None),
        ("scenario", payment["id"], "pay", "charged_twice"),
        ("scenario", "next", "hook", "lost_webhook"),
        ("payment", payment["id"], "pay", None),
    }
    assert len(shown["armed"]) == 6, "each rule is one"
    assert found["payment", payment["id"], "pay", None]["reference"] == "P1"
    about = acquirer.sim("GET", "/faults?payment=P1")["armed"]
    assert len(about) == 5, "all but the scenario of the next payment"
    page = acquirer.browser.get("/faults").text
    assert page.count(">Disarm</button>") == 6
    assert "Lost webhook" in page


def test_rules_are_disarmed_one_by_one_and_the_others_keep_counting(acquirer: World) -> None:
    pay = {"double": True, "decline": "lost_card", "times": 2}
    acquirer.faults(hook=[{"drop": 5}, {"delay": "PT1S", "times": 1}], pay=pay)
    acquirer.approve(acquirer.open())  # declined: one use of the rule, one event with a delay
    left = {(one["part"], *one["rule"]): (one["id"], one["left"]) for one in acquirer.sim("GET", "/faults")["armed"]}
    assert left["hook", "delay", "times"][1] == 0
    assert left["pay", "decline", "times"][1] == 1
    rest = acquirer.sim("DELETE", f"/faults/{left['hook', 'drop'][0]}")["armed"]
    assert [one["left"] for one in rest if one["part"] == "hook"] == [0], "the rule behind it is not armed anew"
    acquirer.sim("DELETE", f"/faults/{left['hook', 'drop'][0]}", status=404)
    acquirer.sim("DELETE", f"/faults/{left['pay', 'decline', 'times'][0]}")
    once = acquirer.open()
    acquirer.approve(once)
    assert len(acquirer.shown(once)["captures"]) == 2, "the other fault of the rule is still armed"
    for one in acquirer.sim("GET", "/faults")["armed"]:
        acquirer.sim("DELETE", f"/faults/{one['id']}")
    assert acquirer.sim("GET", "/faults")["armed"] == []


def test_a_rule_of_another_run_is_not_disarmed(acquirer: World) -> None:
    acquirer.faults(run="a", hook={"drop": 1})
    (one,) = acquirer.sim("GET", "/faults", run="a")["armed"]
    acquirer.sim("DELETE", f"/faults/{one['id']}", run="b", status=404)
    assert len(acquirer.sim("GET", "/faults", run="a")["armed"]) == 1


def test_the_page_of_armed_faults_disarms(acquirer: World) -> None:
    acquirer.faults(hook={"drop": 1})
    page = acquirer.browser.get("/faults").text
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)
    rule = re.search(r'name="rule" value="([^"]+)"', page)
    assert csrf and rule
    assert acquirer.browser.post("/faults", data={"csrf": csrf[1], "rule": rule[1]}).status_code == 303
    assert "No faults are armed." in acquirer.browser.get("/faults").text


def test_an_unknown_preset_in_a_link_is_reported(acquirer: World) -> None:
    payment = acquirer.open()
    answer = acquirer.browser.get(f"/pay/{payment['id']}?fate=lost_webhok")
    assert answer.status_code == 422
    assert "lost_webhook" in answer.text


# --- scenarios are files of the same schemas


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('name = "x"\nsentnce = "y"', "'sentence'"),
        ('name = "x"\nsentence = "y"\ndialects = ["kpya"]', "'kpay'"),
        ('name = "x"\nsentence = "y"\n[fate]\nhook = [{ dorp = 1 }]', "'drop'"),
        (
            'name = "x"\nsentence = "y"\ndialects = ["tpay"]\n[fate]\nhook = { match = "refund.failed", drop = 1 }',
            "No webhook is sent",
        ),
        ('name = "x"\nsentence = "y"\n[[steps]]\ndo = "aprove"', "'approve'"),
        ('name = "x"\nsentence = "y"\n[[steps]]\ndo = "approve"\ncrad = "4242"', "'card'"),
        ('name = "x"\nsentence = "y"\n[[steps]]\ndo = "advance"', "by is missing"),
        ('name = "x"\nsentence = "y"\n[expect]\nstat = "captured"', "'state'"),
        ('name = "x"\nsentence = "y"\n[expect]\nstate = "captred"', "'captured'"),
        ('name = "x"\nsentence = "y"\n[expect]\nfired = ["hook.dorp"]', "'hook.drop'"),
        ('name = "x"\nsentence = "y"\n[expect]\nmade = { "payment.captred" = 1 }', "'payment.captured'"),
        ('name = "x"\nsentence = "y"\nsteps = [1]', "must be a table"),
    ],
)
def test_a_scenario_with_a_typo_is_refused_with_the_nearest_known_word(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        read(text)


def test_every_scenario_of_ours_passes_and_reads_the_same_again() -> None:
    assert len(every()) > 80
    for one in every().values():
        again = read(written(one), one.group)
        assert (again.fate, again.steps, again.expect) == (one.fate, one.steps, one.expect)


# --- hundreds of invalid bodies per call

VALUES: list[Any] = [
    None, True, 0, -1, 1.5, 10**400, "", "x", "*", "\ud800", "\x00", "a" * 5000, [], [[]], [None], {}, {"a": {}}, [{}],
    "PT1S", "P9999999D", "payment.captured", "4242424242424242", 4242424242424242, "kpay", "demo", "lost_webhook",
    "2026-01-31T12:00:00", "9999-12-31T23:59:59-23:59", "http://[", "default", {"match": []}, {"do": {}}, {"drop": []},
]  # fmt: skip
PATHS = (
    *(f"POST /payments/P1/{act}" for act in ACTS),
    "PUT /faults", "PUT /payments/P1/faults", "PUT /endpoints/card/faults", "PUT /endpoints/start/faults",
    "POST /clock/advance", "POST /expect", "POST /keys/rotate", "POST /reset", "POST /scenario",
    "POST /payments/P1/scenario", "POST /report_card", "POST /deliveries/{delivery}/resend",
)  # fmt: skip
KEYS = sorted({key for body in schemas.BODIES.values() for key in body.keys} | {
    "api", "pay", "hook", "seed", "chance", "op", "do", "for", "times", "decline", "match", "nmae", "", "\ud800",
})  # fmt: skip

PLAN_KEYS = sorted({*plans.SECTIONS, *plans.TOP, *plans.API, *plans.PAY, *plans.HOOK})


def _body(dice: random.Random, own: list[str], depth: int = 0) -> dict[str, Any]:
    """Most keys are known ones of the call (`own`) or of a plan: otherwise only the first would ever be checked."""
    made: dict[str, Any] = {}
    for _ in range(dice.randint(0, 4)):
        inner = depth < 2 and dice.random() < 0.3
        key = dice.choice(own if dice.random() < 0.8 else KEYS)
        made[key] = _body(dice, PLAN_KEYS, depth + 1) if inner else dice.choice(VALUES)
    return made


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("acquirer_database", ["sqlite"], indirect=True)
def test_no_body_whatever_breaks_the_control_api(acquirer: World, path: str) -> None:
    dice = random.Random(path)  # noqa: S311
    acquirer.app.config["ACQUIRER_WEBHOOK_TARGETS"] = ()
    payment = acquirer.open(reference="P1")
    acquirer.sim("POST", "/payments/P1/decline")
    (delivery,) = acquirer.sim("GET", f"/deliveries?payment={payment['id']}")["deliveries"]
    method, _, where = path.replace("{delivery}", delivery["id"]).partition(" ")
    headers = {"Authorization": "Bearer sim_demo"}
    client = acquirer.app.test_client()
    last = where.rpartition("/")[2]
    schema = schemas.BODIES.get("/".join(where.split("/")[-2:]).lstrip("/")) or schemas.BODIES.get(last)
    own = list(schema.keys) if schema and schema.keys else PLAN_KEYS
    for _ in range(200):
        body = _body(dice, own)
        body.pop("within", None)
        answer = client.open("/_sim" + where, method=method, headers=headers, json=body)
        assert answer.status_code in (200, 400, 404, 409, 422), (path, body, answer.text)
        if answer.status_code == 422:
            assert answer.json["error"]["message"].endswith("."), body  # type: ignore[index]


def test_every_act_and_every_call_with_a_body_has_a_schema(acquirer: World) -> None:
    app: Flask = acquirer.app
    assert set(ACTS) <= set(schemas.BODIES)
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith("/_sim") or not (rule.methods or set()) & {"POST", "PUT"}:
            continue
        last = rule.rule.rpartition("/")[2]
        name = "clock/advance" if last == "advance" else "keys/rotate" if last == "rotate" else last
        assert last in ("faults", "<act>") or name in schemas.BODIES, rule.rule
