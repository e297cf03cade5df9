"""Tax rates by country: name in each language, rate, and whether prices contain the tax."""

from __future__ import annotations

from flask import Blueprint, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from shop.accounts.permissions import Permission
from shop.core.countries import SHIPS_TO
from shop.core.db import db
from shop.core.errors import Refusal
from shop.core.typed_fields import of_languages
from shop.core.versions import NEW
from shop.http_kit.access import requires
from shop.ops import acts, setting_forms
from shop.ops.delivery import country
from shop.ops.navigation import Group, Link
from shop.ops.setting_forms import Values
from shop.pricing import change, rates
from shop.pricing.models import TaxRate

bp = Blueprint("taxes", __name__)
LINKS = (Link("Tax", "ops.taxes.index", Permission.TAX_READ, Group.MONEY),)
LONGEST_NAME = 60
INCLUDED, ADDED = "included", "added"
_NAMES = (*of_languages("name"), "rate", "reduced_rate", "how")


@bp.get("/taxes")
@requires(Permission.TAX_READ)
def index() -> str:
    """Tax rates by country."""
    taxes = db.session.scalars(select(TaxRate).order_by(TaxRate.country)).all()
    values = {"percent": rates.percent, "missing": setting_forms.missing, "country": country}
    return render_template("ops/taxes.html", taxes=taxes, **values)


@bp.get("/taxes/new")
@requires(Permission.TAX_WRITE)
def new() -> str:
    """An empty form."""
    return _form(None)


@bp.post("/taxes/new")
@requires(Permission.TAX_WRITE)
def create() -> ResponseReturnValue:
    """Set the tax of a country that has none."""
    return setting_forms.done(lambda: _save("", NEW), setting_forms.SAVED, _index, lambda refusal: _form(None, refusal))


@bp.get("/taxes/countries/<code>")
@requires(Permission.TAX_READ)
def show(code: str) -> str:
    """The form of a country's tax."""
    return _form(_existing(code))


@bp.post("/taxes/countries/<code>")
@requires(Permission.TAX_WRITE)
def save(code: str) -> ResponseReturnValue:
    """Save the form of a country's tax."""
    _existing(code)
    return setting_forms.done(
        lambda: _save(code, setting_forms.seen()),
        setting_forms.SAVED,
        lambda: url_for("ops.taxes.show", code=code),
        lambda refusal: _form(_existing(code), refusal),
    )


@bp.post("/taxes/countries/<code>/delete")
@requires(Permission.TAX_WRITE)
def remove(code: str) -> ResponseReturnValue:
    """Remove the tax of a country."""
    _existing(code)
    return setting_forms.done(
        lambda: change.remove_tax(code, by=acts.reader(), seen=setting_forms.seen(), reason=acts.reason()),
        f"Orders to {country(code)} have no tax from now on.",
        _index,
        lambda refusal: _form(_existing(code), refusal),
    )


def label(field: str) -> str:
    """Label of a field."""
    first, _, of = field.partition(".")
    words = {"how": "Prices", "rate": "Rate in percent", "reduced_rate": "Reduced rate in percent"}.get(
        first, first.capitalize()
    )
    return f"{words} ({of})" if of else words


def _index() -> str:
    return url_for("ops.taxes.index")


def _existing(code: str) -> TaxRate:
    """The tax of this country. Aborts with 404."""
    found = db.session.get(TaxRate, code, populate_existing=True)
    return found or abort(404, f"There is no tax of the country {code[:10]}.")


def _save(code: str, seen: int) -> None:
    """Save the submitted form. Raises what `change.set_tax` raises, and InvalidFields."""
    form = setting_forms.typed([*_NAMES, *(["country"] if not code else [])])
    name, names = form.translations("name", LONGEST_NAME, needed="Enter the name of the tax in English.")
    rate, how = form.value("rate", rates.parse, 0), form.raw("how")
    reduced = form.value("reduced_rate", rates.parse, 0) if form.raw("reduced_rate").strip() else None
    if how not in (INCLUDED, ADDED):
        form.errors["how"] = "Choose whether prices contain the tax."
    if not code and form.raw("country") not in SHIPS_TO:
        form.errors["country"] = "Choose a country that the shop delivers to."
    form.checked()
    is_included, by = how == INCLUDED, acts.reader()
    where, reason = code or form.raw("country"), acts.reason()
    change.set_tax(
        where,
        name,
        rate,
        is_included=is_included,
        reduced_rate=reduced,
        names=names,
        seen=seen,
        by=by,
        reason=reason,
    )


def _form(tax: TaxRate | None, refusal: Refusal | None = None) -> str:
    values = setting_forms.shown(_as_typed(tax), tax.version if tax else NEW, label, refusal)
    return render_template(
        "ops/tax.html",
        tax=tax,
        country=country,
        countries=sorted(SHIPS_TO, key=country),
        chosen=request.form.get("country", ""),
        languages=setting_forms.languages(),
        longest=LONGEST_NAME,
        hows=((INCLUDED, "Prices contain the tax"), (ADDED, "The tax is added to prices")),
        **values,
    )


def _as_typed(tax: TaxRate | None) -> Values:
    """The fields of a stored tax, or of a new one."""
    reduced = tax.reduced_rate if tax else None
    return {
        **setting_forms.names(tax),
        "rate": rates.percent(tax.rate) if tax else "",
        "reduced_rate": "" if reduced is None else rates.percent(reduced),
        "how": INCLUDED if tax is None or tax.is_included else ADDED,
    }
