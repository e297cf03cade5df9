"""`/_sim` for scenarios and the receiver report card: the part of the control API that plays and judges."""

from __future__ import annotations

from flask import Blueprint, Response, g, jsonify, request

from mock_acquirer import control, report_card
from mock_acquirer.errors import invalid
from mock_acquirer.scenarios import every, runner, saved
from mock_acquirer.scenarios.toml import written

bp = Blueprint("lab", __name__, url_prefix="/_sim")
bp.before_request(control.enter)


@bp.get("/scenarios")
def list_scenarios() -> Response:
    """All of them, or with `?dialect=` those that can happen there."""
    dialect = request.args.get("dialect", "")
    return jsonify(scenarios=[one.record() for one in every().values() if not dialect or one.fits(dialect)])


@bp.post("/scenario")
def arm_for_the_next() -> Response:
    """`{"name":…}` waits for the next payment that is opened in this run; `{}` takes a waiting one away."""
    sent = control.sent_object()
    scenario = runner.named(sent["name"]) if sent else None
    runner.arm_next(g.run, scenario)
    return jsonify(armed=scenario.record() if scenario else None)


@bp.post("/payments/<ref>/scenario")
def run_scenario(ref: str) -> Response:
    """Arm `{"name":…}` on this payment and play it: 200, or 409 with what was not as expected.

    With `"play": false` it is only armed, for a person or a browser test to play.
    """
    payment, sent = control.payment_of(ref), control.sent_object()
    scenario = runner.named(sent.get("name"))
    if not isinstance(sent.get("play", True), bool):
        raise invalid("play", "play must be true or false.")
    runner.arm(payment, scenario)
    told = {"scenario": scenario.name, "payment": payment.id, "steps": scenario.told()}
    if not sent.get("play", True):
        return jsonify(told | {"played": False})
    unmet = runner.play(payment, scenario)
    response = jsonify(told | {"played": True, "met": not unmet, "unmet": unmet, "happened": runner.happened(payment)})
    response.status_code = 409 if unmet else 200
    return response


@bp.get("/payments/<ref>/scenario")
def save_scenario(ref: str) -> Response:
    """What happened to this payment, as the TOML file of a scenario."""
    return Response(written(saved.saved(control.payment_of(ref))), content_type="application/toml; charset=utf-8")


@bp.post("/report_card")
def judge_receiver() -> Response:
    """Send `{"dialect", "url"}` good and bad webhooks; answers what the receiver got wrong, in sentences.

    With `"payment"`, an open payment that the receiver knows, it is also seen whether a hint makes it ask.
    """
    sent = control.sent_object()
    dialect, url = report_card.read(sent)
    payment = control.payment_of(str(sent["payment"])) if sent.get("payment") else None
    return jsonify(report_card.run(dialect, url, payment))
