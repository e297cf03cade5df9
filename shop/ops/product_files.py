"""CSV files of products: export, upload as a dry run or an import, progress, and the outcome of each line."""

from __future__ import annotations

from flask import Blueprint, Response, abort, redirect, render_template, request, stream_with_context, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import rights, staff
from shop.accounts.permissions import Permission
from shop.core import clock, filter_values
from shop.core.errors import BadInput, Refusal
from shop.http_kit.access import requires
from shop.http_kit.request_guard import LARGEST_BODY, takes_files
from shop.merchandising import csv_export, csv_file, imports
from shop.merchandising.models import Outcome, ProductImport
from shop.ops import acts, product_form
from shop.ops.formats import zone

bp = Blueprint("product_files", __name__)


@bp.get("/products/export")
@requires(Permission.PRODUCT_READ)
def export() -> ResponseReturnValue:
    """All products as a file, which can be imported again."""
    name = f"products-{clock.now().astimezone(zone()):%Y-%m-%d-%H%M}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(stream_with_context(csv_export.export()), mimetype="text/csv", headers=headers)


@bp.get("/products/imports")
@requires(Permission.PRODUCT_READ)
def index() -> str:
    """The newest imports and dry runs, and the form that uploads a file."""
    return _list()


@bp.post("/products/imports")
@requires(Permission.PRODUCT_WRITE)
@takes_files(csv_file.LARGEST_FILE + LARGEST_BODY)
def start() -> ResponseReturnValue:
    """Request an import or a dry run of the uploaded file."""
    file = request.files.get("file")
    try:
        if file is None or not file.filename:
            raise BadInput("no_file_chosen", "Choose a file.")
        is_dry_run = request.form.get("kind") != "import"
        import_id = imports.request(file.stream.read(), file.filename, is_dry_run=is_dry_run, by=acts.reader())
    except rights.Forbidden:
        raise
    except Refusal as refusal:
        return _list(refusal), refusal.status
    return redirect(url_for("ops.product_files.show", import_id=import_id), 303)


@bp.get("/products/imports/<import_id>")
@requires(Permission.PRODUCT_READ)
def show(import_id: str) -> str:
    """An import, its progress, and its lines from the one after `after` on; for htmx the progress alone."""
    return _page(import_id)


@bp.post("/products/imports/<import_id>/apply")
@requires(Permission.PRODUCT_WRITE)
def apply(import_id: str) -> ResponseReturnValue:
    """Import the file of a dry run."""
    _existing(import_id)
    try:
        started = imports.apply(import_id, by=acts.reader())
    except rights.Forbidden:
        raise
    except Refusal as refusal:
        return _page(import_id, refusal), refusal.status
    return redirect(url_for("ops.product_files.show", import_id=started), 303)


def _existing(import_id: str) -> ProductImport:
    found = imports.find(import_id)
    if found is None:
        abort(404, "There is no such import. They are deleted after some weeks.")
    return found


def _page(import_id: str, refusal: Refusal | None = None) -> str:
    filter_values.refuse_unknown(request.args, ("after", "outcome"))
    job = _existing(import_id)
    if "HX-Request" in request.headers:
        return render_template("ops/_product_import.html", job=job)
    after, outcome = request.args.get("after", "0"), request.args.get("outcome", "")
    if outcome:
        filter_values.known("outcome", [outcome], [Outcome.CREATED, Outcome.CHANGED, Outcome.REFUSED])
    only = Outcome(outcome) if outcome else None
    start = int(after) if after.isascii() and after.isdigit() and len(after) < 9 else 0
    lines = imports.results(import_id, start, only=only, limit=imports.SHOWN + 1)
    shown = lines[: imports.SHOWN]
    return render_template(
        "ops/product_import.html",
        job=job,
        by=staff.label(job.requested_by),
        lines=shown,
        next=shown[-1].line if len(lines) > len(shown) else None,
        after=start,
        outcome=outcome,
        outcomes=[(one, getattr(job, one)) for one in (Outcome.CREATED, Outcome.CHANGED, Outcome.REFUSED)],
        label=product_form.label,
        refusal=refusal,
    )


def _list(refusal: Refusal | None = None) -> str:
    found = imports.newest()
    return render_template(
        "ops/product_imports.html",
        jobs=found,
        people=staff.labels(job.requested_by for job in found),
        columns=csv_file.columns(),
        most=csv_file.MOST_LINES,
        largest=csv_file.LARGEST_FILE // 2**20,
        kept=imports.KEPT_FOR.days,
        refusal=refusal,
    )
