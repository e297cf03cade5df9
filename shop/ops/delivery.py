"""Delivery methods: names in each language, prices, the amount from which delivery is free, countries, on and off."""

from __future__ import annotations

from babel import Locale
from flask import Blueprint, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select

from shop.accounts.permissions import Permission
from shop.catalogue import product_fields
from shop.core import countries
from shop.core.countries import SHIPS_TO
from shop.core.db import db
from shop.core.errors import Refusal
from shop.core.languages import ENGLISH
from shop.core.money import CURRENCIES, Money
from shop.core.typed_fields import amount_text, of_currencies, of_languages
from shop.core.versions import NEW
from shop.http_kit.access import requires
from shop.ops import acts, setting_forms
from shop.ops.navigation import Group, Link
from shop.ops.setting_forms import Values
from shop.pricing import change
from shop.pricing.models import DeliveryMethod

bp = Blueprint("delivery", __name__)
LINKS = (Link("Delivery", "ops.delivery.index", Permission.DELIVERY_READ, Group.SHOP),)
LONGEST_NAME = 60
LAST_POSITION = 999
_NAMES = (
    *of_languages("name"),
    *of_currencies("price"),
    *of_currencies("free_from"),
    "position",
    "is_offered",
    "all_except",
)
_NO_NAME = "Enter a name in English. Other languages show it where they have none."


@bp.get("/delivery")
@requires(Permission.DELIVERY_READ)
def index() -> str:
    """Delivery methods in the order of the checkout."""
    methods = db.session.scalars(select(DeliveryMethod).order_by(DeliveryMethod.position, DeliveryMethod.key)).all()
    return render_template(
        "ops/delivery.html", methods=methods, money=Money, missing=setting_forms.missing, country=country
    )


@bp.get("/delivery/new")
@requires(Permission.DELIVERY_WRITE)
def new() -> str:
    """An empty form."""
    return _form(None)


@bp.post("/delivery/new")
@requires(Permission.DELIVERY_WRITE)
def create() -> ResponseReturnValue:
    """Create a delivery method, whose key is made of its English name."""

    def act() -> None:
        key = product_fields.slug_of(request.form.get("name", ""))[: change.LONGEST_KEY].strip("-")
        _save(key, NEW)

    message = "The delivery method is saved."
    return setting_forms.done(act, message, _index, lambda refusal: _form(None, refusal))


@bp.get("/delivery/methods/<key>")
@requires(Permission.DELIVERY_READ)
def show(key: str) -> str:
    """The form of a delivery method."""
    return _form(_existing(key))


@bp.post("/delivery/methods/<key>")
@requires(Permission.DELIVERY_WRITE)
def save(key: str) -> ResponseReturnValue:
    """Save the form of a delivery method."""
    _existing(key)
    return setting_forms.done(
        lambda: _save(key, setting_forms.seen()),
        setting_forms.SAVED,
        lambda: url_for("ops.delivery.show", key=key),
        lambda refusal: _form(_existing(key), refusal),
    )


@bp.post("/delivery/methods/<key>/delete")
@requires(Permission.DELIVERY_WRITE)
def remove(key: str) -> ResponseReturnValue:
    """Delete a delivery method."""
    _existing(key)
    return setting_forms.done(
        lambda: change.remove_delivery(key, by=acts.reader(), seen=setting_forms.seen()),
        "The delivery method is deleted. Orders keep what they were placed with.",
        _index,
        lambda refusal: _form(_existing(key), refusal),
    )


def country(code: str) -> str:
    """Name of a country in English."""
    return countries.name(code, Locale(ENGLISH))


def label(field: str) -> str:
    """Label of a field, such as `Price in TWD`."""
    first, _, of = field.partition(".")
    special = {"free_from": "Free from", "is_offered": "Offered", "all_except": "All countries except"}
    words = special.get(first, first.capitalize())
    return words if not of else f"{words} in {of}" if of in CURRENCIES else f"{words} ({of})"


def _index() -> str:
    return url_for("ops.delivery.index")


def _existing(key: str) -> DeliveryMethod:
    """The method with this key. Aborts with 404."""
    found = db.session.get(DeliveryMethod, key, populate_existing=True)
    return found or abort(404, f"There is no delivery method {key[: change.LONGEST_KEY]}.")


def _save(key: str, seen: int) -> None:
    """Save the submitted form. Raises what `change.set_delivery` raises, and InvalidFields."""
    form = setting_forms.typed(_NAMES, ["countries"])
    name, names = form.translations("name", LONGEST_NAME, needed=_NO_NAME)
    if name and not key:
        form.errors["name"] = "The English name needs letters from A to Z or digits."
    prices, free_from = form.amounts("price", least=0), form.amounts("free_from", least=0)
    if not prices and not any(field.startswith("price") for field in form.errors):
        form.errors[f"price.{CURRENCIES[0]}"] = "Enter a price in at least one currency; 0 is free of charge."
    for currency in set(free_from) - set(prices):
        form.errors.setdefault(f"free_from.{currency}", f"Enter a price in {currency} too.")
    stored = db.session.get(DeliveryMethod, key) if key else None
    known = SHIPS_TO | set(_listed(stored))
    chosen = form.each("countries", known, "a country that the shop delivers to")
    position, is_offered = form.whole("position", 0, LAST_POSITION), form.flag("is_offered")
    form.checked()
    change.set_delivery(
        key,
        name,
        prices,
        free_from=free_from,
        countries=chosen,
        position=position or 0,
        names=names,
        is_offered=is_offered,
        all_except=form.flag("all_except"),
        by=acts.reader(),
        seen=seen,
    )


def _form(method: DeliveryMethod | None, refusal: Refusal | None = None) -> str:
    stored = _as_typed(method)
    codes = {code: country(code) for code in sorted(SHIPS_TO | set(_listed(method)), key=country)}
    return render_template(
        "ops/delivery_method.html",
        method=method,
        countries=codes,
        languages=setting_forms.languages(),
        currencies=CURRENCIES,
        longest=LONGEST_NAME,
        last_position=LAST_POSITION,
        **setting_forms.shown(stored, method.version if method else NEW, label, refusal),
    )


def _as_typed(method: DeliveryMethod | None) -> Values:
    """The fields of a stored method, or of a new one, which comes last so that it is not preselected."""
    prices, free_from = (method.prices, method.free_from) if method else ({}, {})
    found = {f"price.{code}": amount_text(prices.get(code), code) for code in CURRENCIES}
    found |= {f"free_from.{code}": amount_text(free_from.get(code), code) for code in CURRENCIES}
    found |= setting_forms.names(method)
    found["position"] = str(method.position if method else _last_position())
    found["is_offered"] = "yes" if method is None or method.is_offered else ""
    found["all_except"] = "yes" if method and method.exceptions else ""
    return found | {"countries": " ".join(_listed(method))}


def _listed(method: DeliveryMethod | None) -> list[str]:
    """The countries that staff have chosen: the exceptions, or the only ones."""
    return (method.exceptions or method.countries) if method else []


def _last_position() -> int:
    """The position after all methods."""
    last = db.session.scalar(select(func.max(DeliveryMethod.position)))
    return 0 if last is None else min(last + 1, LAST_POSITION)
