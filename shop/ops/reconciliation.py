"""Reconciliation: days by provider with what matched and what did not, one day with its lines, and uploads of files."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts.permissions import Permission
from shop.core import filter_values
from shop.core.errors import BadInput, Refusal
from shop.core.keyset import Position
from shop.http_kit.access import requires
from shop.http_kit.request_guard import LARGEST_BODY, takes_files
from shop.integrity import settlement_day, settlement_days
from shop.ops import acts
from shop.ops.navigation import Group, Link
from shop.payments.providers import registry
from shop.payments.settlement import daily_fetch, reconcile

bp = Blueprint("reconciliation", __name__)
LINKS = (Link("Reconciliation", "ops.reconciliation.index", Permission.RECONCILIATION_READ, Group.MONEY),)
LARGEST_FILE = 4 * 2**20
"""Bytes of an uploaded file, about 40,000 lines; larger ones are for `flask reconcile`."""


@bp.get("/reconciliation")
@requires(Permission.RECONCILIATION_READ)
def index() -> str:
    """Unmatched lines, the oldest first, and the days until `until` by provider."""
    filter_values.refuse_unknown(request.args, ("after", "until"))
    newest = settlement_days.newest_day()
    until = min(newest, filter_values.day("until", request.args["until"])) if request.args.get("until") else newest
    after = Position.parse(request.args["after"]) if request.args.get("after") else None
    page, overview = settlement_days.unmatched(after), settlement_days.overview(until)
    providers = list(overview[until])
    fetched = daily_fetch.fetched()
    step = timedelta(days=settlement_days.DAYS)
    return render_template(
        "ops/reconciliation.html",
        page=page,
        after=after,
        overview=overview,
        providers=providers,
        columns=[(_heading(name, fetched), "") for name in providers],
        fetched=fetched,
        label=registry.label,
        until=until if until != newest else None,
        older=until - step,
        newer=min(newest, until + step) if until < newest else None,
    )


@bp.get("/reconciliation/<provider>/<day>")
@requires(Permission.RECONCILIATION_READ)
def show(provider: str, day: str) -> str:
    """A day of a provider: its file, what did not match, and its lines with the journals that they settle."""
    filter_values.refuse_unknown(request.args, ("after",))
    of_day, after = filter_values.day("day", day), request.args.get("after", "")[:200]
    file, lines = settlement_days.file_of(provider, of_day), settlement_days.lines(provider, of_day, after)
    unmatched, shown = settlement_days.unmatched_of(provider, of_day), lines[: settlement_days.LISTED]
    if registry.get(provider) is None and not (file or lines or unmatched):
        abort(404, f"There is no provider {provider[:40]}.")
    return render_template(
        "ops/reconciliation_day.html",
        provider=provider,
        label=registry.label(provider),
        day=of_day,
        file=file,
        is_fetched=provider in daily_fetch.fetched(),
        sums=settlement_day.sums(provider, of_day),
        unmatched=unmatched,
        lines=shown,
        after=after,
        next=shown[-1][0].line_id if len(lines) > len(shown) else None,
    )


@bp.get("/reconciliation/files")
@requires(Permission.RECONCILIATION_DECIDE, fresh=True)
def choose() -> str:
    """A form to upload a settlement file, after the password was confirmed: a chosen file would be lost by that."""
    filter_values.refuse_unknown(request.args, ("day", "provider"))
    return _form(request.args)


@bp.post("/reconciliation/files")
@requires(Permission.RECONCILIATION_DECIDE, fresh=True)
@takes_files(LARGEST_FILE + LARGEST_BODY)
def upload() -> ResponseReturnValue:
    """Reconcile an uploaded file. Safe to repeat; a file that cannot be used books nothing."""
    name = request.form.get("provider", "")
    try:
        day = filter_values.day("day", request.form.get("day", ""))
        run = reconcile.reconcile(name, day, _file(), by=acts.reader())
    except Refusal as refusal:
        return _form(request.form, refusal), refusal.status
    flash(
        f"The file was read. Lines: {run.lines}. Booked now: {run.booked}. Found in the file only: {len(run.applied)}. "
        f"Discrepancies opened: {run.opened}, closed: {run.closed}."
    )
    return redirect(url_for("ops.reconciliation.show", provider=name, day=day), 303)


def _heading(name: str, fetched: Collection[str]) -> str:
    return registry.label(name) if name in fetched else f"{registry.label(name)} (by staff)"


def _file() -> bytes:
    """The content of the uploaded file. Raises BadInput."""
    file = request.files.get("file")
    if file is None or not file.filename:
        raise BadInput("no_file_chosen", "Choose a file.")
    raw = file.stream.read(LARGEST_FILE + 1)
    if len(raw) > LARGEST_FILE:
        largest = f"{LARGEST_FILE // 2**20} MB"
        message = f"The file is larger than {largest}. An operator can read it with flask reconcile."
        raise BadInput("file_too_large", message)
    return raw


def _form(typed: Any, refusal: Refusal | None = None) -> str:
    providers = [(name, registry.label(name)) for name in sorted(registry.all_providers())]
    return render_template(
        "ops/reconciliation_upload.html",
        providers=providers,
        typed=typed,
        refusal=refusal,
        largest=LARGEST_FILE // 2**20,
        newest=settlement_days.newest_day(),
    )
