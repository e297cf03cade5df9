"""Pages that perform actions for the merchant: scenarios, receiver report card, settlement files, keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, url_for

from mock_acquirer import (
    armed,
    clock,
    dialect_interface,
    engine,
    faults,
    guards,
    loop,
    report_card,
    settlement,
    signing,
)
from mock_acquirer.dashboard import payment_or_404
from mock_acquirer.errors import Refused
from mock_acquirer.models import DEFAULT_RUN
from mock_acquirer.scenarios import GROUPS, every, label_of, runner
from mock_acquirer.shop_clock import ShopClock
from mock_acquirer.times import parse_duration

bp = Blueprint("workbench", __name__)
DAYS = 7


@bp.before_request
def _only_with_control() -> None:
    guards.require_control()
    if request.method == "POST":
        guards.require_own_form()


def _page(template: str, status: int = 200, **values: Any) -> Response:
    return make_response(render_template(f"mock_acquirer/{template}", **values), status)


def _run() -> str:
    """The run named in the form, created if new."""
    return clock.enter_run(request.values.get("run", "").strip() or DEFAULT_RUN)


@bp.get("/scenarios")
def scenarios() -> Response:
    """All scenarios; with `?payment=` those that apply to it, with `?chosen=` the one that has just been armed."""
    payment = payment_or_404(request.args["payment"]) if request.args.get("payment") else None
    shown = [one for one in every().values() if payment is None or one.fits(payment.dialect)]
    run = payment.run if payment else _run()
    waiting = faults.plan_at(run, "scenario", payment.id if payment else faults.NEXT)
    chosen = every().get(request.args.get("chosen", ""))
    values: dict[str, Any] = {
        "scenarios": shown,
        "groups": GROUPS,
        "payment": payment,
        "run": run,
        "armed": waiting,
        "chosen": chosen,
    }
    return _page("scenarios.html", **values)


@bp.post("/scenarios")
def arm() -> Any:
    """Arm the chosen scenario for the payment, or for the next payment of the run; an empty name disarms."""
    name = request.form.get("name", "")
    scenario = runner.named(name) if name else None
    if request.form.get("payment"):
        payment = payment_or_404(request.form["payment"])
        if scenario is None:
            faults.arm(payment.run, "scenario", payment.id, {})
        else:
            runner.arm(payment, scenario)
        return redirect(url_for("workbench.scenarios", payment=payment.id, chosen=name or None), 303)
    run = _run()
    runner.arm_next(run, scenario)
    return redirect(url_for("workbench.scenarios", run=run, chosen=name or None), 303)


@bp.post("/scenarios/advance")
def advance() -> Any:
    """Advance the clock of the payment's run, or of the run that the form names. The shop's clock follows."""
    payment = payment_or_404(request.form["payment"]) if request.form.get("payment") else None
    run = payment.run if payment else _run()
    try:
        by = parse_duration(request.form.get("by"))
    except ValueError:
        abort(422, "Choose one of the times on the page.")
    loop.advance(run, clock.now(run) + by, ShopClock(run).turn)
    named: dict[str, Any] = {"payment": payment.id} if payment else {"run": run}
    return redirect(url_for("workbench.scenarios", **named), 303)


@bp.get("/faults")
def faults_armed() -> Response:
    """All armed rules of the run, each with a button to disarm it; with `?payment=` those that may act on it."""
    payment = payment_or_404(request.args["payment"]) if request.args.get("payment") else None
    run = payment.run if payment else _run()
    return _page("faults.html", payment=payment, label_of=label_of, **armed.listed(run, payment))


@bp.post("/faults")
def disarm() -> Any:
    """Disarm one rule; ignores a rule that is already gone."""
    run, payment = _run(), request.form.get("payment") or None
    armed.disarm(run, request.form.get("rule", "")[:100])
    return redirect(url_for("workbench.faults_armed", run=run, payment=payment), 303)


@bp.get("/report_card")
def report() -> Response:
    name = next(iter(dialect_interface.every()))
    chosen = {"dialect": name, "url": dialect_interface.named(name).merchant("demo").webhook_url, "payment": ""}
    return _report(chosen)


def _report(chosen: dict[str, str], card: dict[str, Any] | None = None, refused: Refused | None = None) -> Response:
    status, sentence = (refused.status, refused.message) if refused else (200, "")
    shown = {"names": list(dialect_interface.every()), "chosen": chosen, "card": card, "refused": sentence}
    return _page("report_card.html", status, **shown)


@bp.post("/report_card")
def make_report() -> Response:
    """Send every case to the address and list the receiver's mistakes."""
    chosen = {name: request.form.get(name, "").strip()[:2000] for name in ("dialect", "url", "payment")}
    try:
        dialect, url = report_card.read(dict(chosen))
        known = engine.find(_run(), chosen["payment"]) if chosen["payment"] else None
        if chosen["payment"] and known is None:
            abort(404, "There is no such payment.")
        return _report(chosen, report_card.run(dialect, url, known))
    except Refused as refused:
        return _report(chosen, refused=refused)


@bp.get("/settlement")
def settlements() -> Response:
    """Links to the files of the last days on the run's clock."""
    run = _run()
    today = clock.now(run).date()
    days = [(today - timedelta(days=back)).isoformat() for back in range(DAYS)]
    names = [name for name, dialect in dialect_interface.every().items() if dialect.settlement is not None]
    return _page("settlement.html", run=run, days=days, names=names, discrepancies=_discrepancies())


def _discrepancies() -> int:
    written = request.args.get("discrepancies", "") or "0"
    if not (written.isascii() and written.isdigit() and int(written) <= settlement.MOST_DISCREPANCIES):
        abort(422, f"Enter a number of discrepancies from 0 to {settlement.MOST_DISCREPANCIES}.")
    return int(written)


@bp.get("/settlement/<name>/<day>")
def settlement_file(name: str, day: str) -> Response:
    """Settlement file of one day, as the merchant gets it."""
    dialect = dialect_interface.every().get(name)
    if dialect is None or dialect.settlement is None:
        abort(404, "There is no such file.")
    run = _run()
    seed = faults.plan_at(run, "global").get("seed", 0)
    found, _ = settlement.file_of(run, name, dialect.settlement, day, "", _discrepancies(), seed)
    return Response(found.body, content_type=found.content_type)


@bp.get("/keys")
def keys() -> Response:
    return _keys(_run(), None)


def _keys(run: str, fresh: dict[str, Any] | None) -> Response:
    valid = {}
    for name, dialect in dialect_interface.every().items():
        signed = bool(dialect.signature_header)
        valid[name] = len(signing.valid_keys(run, name, "demo", dialect.merchant("demo").secret)) if signed else 0
    return _page("keys.html", run=run, secrets=valid, fresh=fresh)


@bp.post("/keys")
def rotate() -> Response:
    """Create a secret, shown in this response only."""
    run, name = _run(), request.form.get("dialect", "")
    dialect = dialect_interface.every().get(name)
    if dialect is None or not dialect.signature_header:
        abort(404, "There is no such secret.")
    try:
        overlap = parse_duration(request.form.get("overlap", "PT24H"))
    except ValueError:
        abort(422, "Choose an overlap from the list.")
    secret, until = signing.rotate(run, name, "demo", dialect.merchant("demo").secret, overlap)
    return _keys(run, {"dialect": name, "secret": secret, "until": until})
