"""`/_sim` for scenarios and the receiver report card."""

from __future__ import annotations

from flask import Blueprint, Response, g, jsonify, request

from mock_acquirer import control, dialect_interface, report_card, schemas
from mock_acquirer.errors import invalid
from mock_acquirer.scenarios import every, runner, saved
from mock_acquirer.scenarios.toml import written
from mock_acquirer.validation import nearest

bp = Blueprint("lab", __name__, url_prefix="/_sim")
bp.before_request(control.enter)


@bp.get("/scenarios")
def list_scenarios() -> Response:
    """All scenarios, or with `?dialect=` those that apply to it."""
    dialect = request.args.get("dialect", "")
    if dialect and dialect not in dialect_interface.every():
        near = nearest(dialect, dialect_interface.every())
        raise invalid("dialect", f"There is no such dialect.{near} They are {', '.join(dialect_interface.every())}.")
    return jsonify(scenarios=[one.record() for one in every().values() if not dialect or one.fits(dialect)])


@bp.post("/scenario")
def arm_for_the_next() -> Response:
    """Arm `{"name":…}` for the next payment of this run; `{}` disarms."""
    sent = schemas.read("scenario", control.sent_object())
    scenario = runner.named(sent["name"]) if sent else None
    runner.arm_next(g.run, scenario)
    return jsonify(armed=scenario.record() if scenario else None)


@bp.post("/payments/<ref>/scenario")
def run_scenario(ref: str) -> Response:
    """Arm `{"name":…}` on this payment and play it: 200, or 409 with the unmet expectations.

    With `"play": false` it is only armed, and a person or a browser test performs the steps.
    """
    payment, sent = control.payment_of(ref), schemas.read("payments/scenario", control.sent_object())
    scenario = runner.named(sent["name"])
    runner.arm(payment, scenario)
    result = {"scenario": scenario.name, "payment": payment.id, "steps": scenario.instructions()}
    if not sent.get("play", True):
        return jsonify(result | {"played": False})
    unmet = runner.play(payment, scenario)
    response = jsonify(
        result | {"played": True, "met": not unmet, "unmet": unmet, "happened": runner.happened(payment)}
    )
    response.status_code = 409 if unmet else 200
    return response


@bp.get("/payments/<ref>/scenario")
def save_scenario(ref: str) -> Response:
    """The payment's history as a scenario file (TOML)."""
    return Response(written(saved.saved(control.payment_of(ref))), content_type="application/toml; charset=utf-8")


@bp.post("/report_card")
def judge_receiver() -> Response:
    """Send valid and invalid webhooks to `{"dialect", "url"}`; answers the receiver's mistakes as sentences.

    With `"payment"`, an open payment that the receiver knows, it also checks that a hint makes the receiver query.
    """
    sent = schemas.read("report_card", control.sent_object())
    payment = control.payment_of(sent["payment"]) if "payment" in sent else None
    return jsonify(report_card.run(sent["dialect"], sent["url"], payment))
