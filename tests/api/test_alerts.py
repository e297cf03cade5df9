"""Alerts of the API: staff list, acknowledge and resolve them, each once."""

from __future__ import annotations

from typing import Any

from shop.accounts.permissions import Permission, Role
from shop.alerts import store
from shop.alerts.store import Cause
from shop.core.db import transaction
from tests.api.conftest import Program, at_once, signed_in, with_key
from tests.shop_fixtures import Shop


def raised(rule: str = "RULE_D", subject: str = "7K3M-9QXT-2F", **observed: Any) -> int:
    """The id of a new alert."""
    with transaction():
        found = store.raise_alert(Cause(rule, subject, "c", "webhook", observed, {}, order_no=subject))
    assert found
    return found


def test_staff_see_an_alert_with_what_was_observed(shop: Shop) -> None:
    number = raised(captured=240000)
    for program in (signed_in(shop, Role.SUPPORT), with_key(shop, Permission.ALERT_READ)):
        found = program.get(f"/alerts/{number}").json
        assert (found["rule"], found["title"], found["severity"]) == ("RULE_D", "Order paid twice", "P1")
        assert (found["observed"], found["state"], found["order_number"]) == (
            {"captured": 240000},
            "NEW",
            "7K3M-9QXT-2F",
        )
        assert program.get("/alerts").json["items"] == [found]
    assert program.get("/alerts/999").json["code"] == "unknown_alert"


def test_the_list_has_filters_and_pages_that_reach_every_alert(shop: Shop) -> None:
    numbers = [raised(subject=f"order {one}") for one in range(5)]
    other = raised("OPS_ORPHAN")
    program = signed_in(shop, Role.SUPPORT)
    program.post(f"/alerts/{numbers[0]}/resolve", {"note": "Done"})

    def ids(query: str) -> list[int]:
        return [one["id"] for one in program.get(f"/alerts?{query}").json["items"]]

    assert ids("rule=RULE_D&state=OPEN") == numbers[:0:-1]
    assert ids("state=RESOLVED") == numbers[:1] and ids("state=NEW&rule=OPS_ORPHAN") == [other]
    assert ids("severity=P3") == ids("order_id=7") == []
    first = program.get("/alerts?limit=4").json
    rest = program.get(f"/alerts?limit=4&cursor={first['next_cursor']}").json
    assert [one["id"] for one in first["items"] + rest["items"]] == [other, *reversed(numbers)]
    assert first["total"] == 6 and "next_cursor" not in rest
    for query in ("rule=RULE_Z", "state=open", "order_id=0", "what=1"):
        assert program.get(f"/alerts?{query}").status_code == 422


def test_an_alert_is_acknowledged_once_and_then_resolved_once_with_a_note(shop: Shop) -> None:
    path = f"/alerts/{raised()}"
    program = signed_in(shop, Role.SUPPORT)
    found = program.post(f"{path}/acknowledge").json
    assert found["state"] == "ACKNOWLEDGED" and found["acknowledged_by"].startswith("staff:")
    assert program.post(f"{path}/acknowledge", {"note": "Mine"}).json["code"] == "not_new"
    assert program.post(f"{path}/resolve", {}).status_code == 422
    found = program.post(f"{path}/resolve", {"note": "Refunded"}).json
    assert (found["state"], found["resolved_note"]) == ("RESOLVED", "Refunded")
    for act in ("resolve", "acknowledge"):
        answer = program.post(f"{path}/{act}", {"note": "Again"})
        assert (answer.status_code, answer.json["code"]) == (409, "resolved")
    assert program.post("/alerts/999/acknowledge").json["code"] == "unknown_alert"


def test_of_people_who_acknowledge_at_once_one_succeeds(shop: Shop) -> None:
    path, tokens = f"/alerts/{raised()}/acknowledge", [signed_in(shop, Role.SUPPORT).token for _ in range(4)]
    answers = at_once(shop, 4, lambda number: Program(shop, tokens[number]).post(path))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


def test_staff_without_the_permission_change_no_alert(shop: Shop) -> None:
    path = f"/alerts/{raised()}"
    for program in (signed_in(shop), signed_in(shop, Role.MERCHANDISER), with_key(shop, Permission.ALERT_READ)):
        assert program.post(f"{path}/acknowledge").status_code == 403
        assert program.post(f"{path}/resolve", {"note": "x"}).status_code == 403
    assert signed_in(shop, Role.SUPPORT).get(path).json["state"] == "NEW"
