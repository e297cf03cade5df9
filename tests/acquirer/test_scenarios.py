"""Scenario files, played in every dialect, each in its own run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mock_acquirer import cards, clock, create_app, engine, plans
from mock_acquirer.scenarios import FOLDER, GROUPS, every, read, runner
from mock_acquirer.scenarios.toml import written
from tests.acquirer.conftest import QUIET, Receiver, World
from tests.parts.selection import sampled

FILES = sorted(FOLDER.glob("*/*.toml"))
SCENARIOS = every()


def test_every_file_is_a_scenario_of_a_known_group_named_as_its_file() -> None:
    assert len(FILES) == len(SCENARIOS) > 70
    for path in FILES:
        scenario = SCENARIOS[path.stem]
        assert scenario.group == path.parent.name and scenario.group in GROUPS
        assert scenario.sentence.endswith(".") and len(scenario.sentence) > 20
        assert all(line.endswith(".") and "{" not in line for line in scenario.instructions())


def test_every_preset_is_a_valid_fault_plan() -> None:
    for scenario in SCENARIOS.values():
        assert plans.parse_plan(scenario.fate) == scenario.fate, scenario.name


def test_every_decline_and_every_three_d_secure_path_has_a_scenario() -> None:
    assert {f"declined_{code}" for code in cards.DECLINES} <= set(SCENARIOS)
    used = {step.get("card") for scenario in SCENARIOS.values() for step in scenario.steps}
    assert {card.number for card in cards.CARDS if card.decline or card.challenge} - used <= {"4000009100000028"}


def test_what_is_written_reads_back_as_it_was() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        scenario = read(text, path.parent.name)
        assert read(written(scenario), path.parent.name) == scenario


def test_a_file_that_is_no_scenario_is_refused_with_a_sentence() -> None:
    for text in (
        'name = "a"',
        'name = "a"\nsentence = "B."\n[[steps]]\ndo = "dance"',
        'name = "a"\nsentence = "B."\nx = 1',
    ):
        with pytest.raises(ValueError, match=r"\.$"):
            read(text)


@pytest.fixture(scope="module")
def one_world(tmp_path_factory: pytest.TempPathFactory, _acquirer_template: Path) -> World:
    path = tmp_path_factory.mktemp("scenarios") / "acquirer.db"
    path.write_bytes(_acquirer_template.read_bytes())
    own = {"ACQUIRER_DATABASE_URL": f"sqlite:///{path}", "ACQUIRER_TIMEOUT_HOLD": "0"}
    return World(create_app(QUIET | own))


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_the_scenario_does_what_its_file_says(one_world: World, name: str, receiver: Receiver) -> None:
    one_world.app.config["ACQUIRER_WEBHOOK_TARGETS"] = (receiver.url.removesuffix("/hooks"),)
    payment = one_world.open(run=name, webhook_url=receiver.url)
    result = one_world.sim("POST", f"/payments/{payment['id']}/scenario", {"name": name}, run=name)
    assert result["met"] and result["played"] and result["unmet"] == []


def test_unmet_expectations_are_reported_in_sentences(acquirer: World, receiver: Receiver) -> None:
    acquirer.sim("PUT", "/faults", {"hook": {"drop": 100}})
    payment = acquirer.open()
    acquirer.sim("PUT", "/endpoints/card/faults", {"pay": {"amount_delta": 5}})
    result = acquirer.sim("POST", f"/payments/{payment['id']}/scenario", {"name": "closes_every_tab"}, status=409)
    assert result["unmet"] == ["money is other_amount, not as_agreed."] and not result["met"]


def test_a_scenario_can_be_armed_for_a_person_to_play(acquirer: World) -> None:
    payment = acquirer.open()
    result = acquirer.sim("POST", f"/payments/{payment['id']}/scenario", {"name": "charged_twice", "play": False})
    assert result["steps"] == ["Pay."] and acquirer.shown(payment)["status"] == "requires_payment"
    page = acquirer.browser.get(f"/pay/{payment['id']}").text
    assert "Armed:" in page and "scenario" in page
    acquirer.approve(payment)
    assert len(acquirer.shown(payment)["captures"]) == 2


def test_a_scenario_waits_for_the_payment_that_is_opened_next_its_opening_included(acquirer: World) -> None:
    acquirer.sim("POST", "/scenario", {"name": "opening_times_out_but_worked"})
    assert acquirer.api("POST", "/payments", json=acquirer.wish(reference="LOST")).status_code == 504
    found = acquirer.api("GET", "/payments?reference=LOST").json["data"]  # type: ignore[index]
    assert len(found) == 1
    other = acquirer.open()
    assert acquirer.record(other)["faults"] == []
    assert [level["level"] for level in acquirer.record(found[0])["faults"]] == ["scenario"]


def test_a_waiting_scenario_can_be_taken_away(acquirer: World) -> None:
    acquirer.sim("POST", "/scenario", {"name": "charged_twice"})
    assert acquirer.sim("POST", "/scenario") == {"armed": None}
    assert acquirer.record(acquirer.open())["faults"] == []


MISTAKES: list[tuple[dict[str, Any], int]] = [
    ({}, 422),
    ({"name": "unheard_of"}, 404),
    ({"name": ["lost_webhook"]}, 422),
    ({"name": "lost_webhook", "play": "no"}, 422),
]


def test_mistakes_arm_nothing(acquirer: World) -> None:
    payment = acquirer.open()
    for sent, status in MISTAKES:
        acquirer.sim("POST", f"/payments/{payment['id']}/scenario", sent, status=status)
    acquirer.sim("POST", "/payments/nobody/scenario", {"name": "lost_webhook"}, status=404)
    acquirer.sim("POST", "/scenario", {"name": "unheard_of"}, status=404)
    assert acquirer.record(payment)["faults"] == []
    acquirer.approve(payment)
    acquirer.sim("POST", f"/payments/{payment['id']}/scenario", {"name": "lost_webhook"}, status=409)


def test_the_scenarios_are_listed_for_a_dialect(acquirer: World) -> None:
    everything = acquirer.sim("GET", "/scenarios")["scenarios"]
    wallet = acquirer.sim("GET", "/scenarios?dialect=paypay")["scenarios"]
    assert len(everything) == len(SCENARIOS) and 0 < len(wallet) < len(everything)
    assert "challenge_approved" not in {one["name"] for one in wallet}


def test_a_payment_is_saved_as_a_scenario_that_makes_another_one_go_the_same_way(acquirer: World) -> None:
    first = acquirer.open(reference="ODD-1")
    acquirer.sim(
        "PUT", "/payments/ODD-1/faults", {"pay": {"double": True}, "hook": {"match": "payment.captured", "drop": 2}}
    )
    acquirer.submit(
        first, "card", **{"number": "4000000000003220", "expiry": "12/34", "cvc": "123", "name": "Ada Test"}
    )
    acquirer.advance("PT5M")
    acquirer.submit(first, "challenge", answer="approve")
    answer = acquirer.app.test_client().get(
        "/_sim/payments/ODD-1/scenario", headers={"Authorization": "Bearer sim_demo"}
    )
    assert answer.content_type.startswith("application/toml")
    found = tomllib.loads(answer.text)
    assert found["name"] == "saved_odd_1" and found["dialects"] == ["kpay"]
    assert found["fate"]["pay"] == {"double": True}
    does = [step["do"] for step in found["steps"]]
    assert does == ["pay", "advance", "challenge"] and re.fullmatch(r"PT\d+S", found["steps"][1]["by"])
    assert found["expect"]["captures"] == 2 and read(answer.text).name == "saved_odd_1"


def test_nothing_random_in_one_payment_depends_on_another(make_world: Any) -> None:
    """With the same seed a payment meets the same faults, whatever happens to other payments in between."""
    plan = {"seed": 11, "hook": {"drop": 1, "chance": 0.5}, "pay": {"decline": "generic_decline", "chance": 0.5}}
    met = []
    for run, others in (("quiet", 0), ("busy", 3)):
        acquirer = make_world()
        acquirer.sim("PUT", "/faults", plan, run=run)
        mine = [acquirer.open(run=run, reference=f"M{number}") for number in range(4)]
        for number in range(others):
            other = acquirer.open(run=run, reference=f"OTHER{number}")
            acquirer.sim("POST", f"/payments/{other['id']}/approve", run=run)
        for payment in mine:
            for _ in range(2):
                if acquirer.shown(payment, run=run)["status"] == "requires_payment":
                    acquirer.approve(payment, run=run)
        acquirer.settle()
        met.append([[use["fault"] for use in acquirer.record(one, run=run)["faults_used"]] for one in mine])
    assert met[0] == met[1] and any(met[0])


WORDS = {"tpay": {"MerchantID": "3002607"}, "stripe": {"client_reference_id": "S1"}, "paypay": {}}


@pytest.mark.slow
@pytest.mark.sample(1)
@pytest.mark.parametrize("dialect", list(WORDS))
def test_a_scenario_that_applies_to_a_dialect_works_there(one_world: World, receiver: Receiver, dialect: str) -> None:
    receiver.answer = (200, {}, b"1|OK")
    one_world.app.config["ACQUIRER_WEBHOOK_TARGETS"] = (receiver.url.removesuffix("/hooks"),)
    unmet = {}
    fitting = [scenario for scenario in SCENARIOS.values() if scenario.fits(dialect)]
    for scenario in fitting[:: sampled(2, 1)]:
        with one_world.app.app_context():
            run = clock.enter_run(f"{dialect}-{scenario.name}"[:40])
            currency, end = ("JPY" if dialect == "paypay" else "TWD"), engine.default_end(run, 1800)
            ordered = (run, dialect, "demo", "S1", 120000, currency, "", receiver.url, end)
            payment = engine.open_session(engine.Session(*ordered, wire=WORDS[dialect]))
            runner.arm(payment, scenario)
            if missing := runner.play(payment, scenario):
                unmet[scenario.name] = missing
    assert unmet == {}
