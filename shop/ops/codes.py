"""Discount codes: what they take off, when they are valid, their limits, and how often they were used."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts.permissions import Permission
from shop.core import clock
from shop.core.errors import Refusal
from shop.core.filter_values import refuse_unknown
from shop.core.money import CURRENCIES
from shop.core.typed_fields import amount_text, moment_text, of_currencies
from shop.core.versions import NEW
from shop.http_kit.access import requires
from shop.ops import acts, lists, setting_forms
from shop.ops.formats import zone
from shop.ops.navigation import Group, Link
from shop.ops.setting_forms import Values
from shop.pricing import change, code_list
from shop.pricing.change import NewCode
from shop.pricing.code_list import CodeState, Listed
from shop.pricing.codes import LONGEST

bp = Blueprint("codes", __name__)
LINKS = (Link("Discount codes", "ops.codes.index", Permission.DISCOUNT_CODE_READ, Group.SHOP),)
HERE = "ops.codes.index"
MOST_USES = 1_000_000_000
TONES = {CodeState.VALID: "good", CodeState.SCHEDULED: "wait", CodeState.USED_UP: "busy"}
_NAMES = ("percent", *of_currencies("amount"), *of_currencies("budget"))
_NAMES += ("starts_at", "ends_at", "use_limit", "once_per_email", "is_active")


@bp.get("/codes")
@requires(Permission.DISCOUNT_CODE_READ)
def index() -> ResponseReturnValue:
    """Discount codes by name, with filters; `after` is the code behind which a page begins."""
    refuse_unknown(request.args, (*code_list.FILTERS, "after"))
    given = {name: values for name, values in request.args.lists() if name != "after"}
    filters, now, after = code_list.parse(given), clock.now(), request.args.get("after", "")[:LONGEST]
    pairs = [(name, str(value)) for name, value in vars(filters).items() if value]
    if any(value == "" for values in given.values() for value in values):
        return redirect(lists.address(HERE, pairs), 303)  # a form sends its empty fields; addresses are without them
    codes, following = code_list.find(filters, now, after)
    return render_template(
        "ops/codes.html",
        codes=codes,
        now=now,
        filters=filters,
        states=list(CodeState),
        tones=TONES,
        first=lists.address(HERE, pairs) if after else "",
        next=f"{url_for(HERE)}?{urlencode([*pairs, ('after', following)])}" if following else "",
        dropped=[
            (f"{name}: {value}", lists.address(HERE, [one for one in pairs if one[0] != name])) for name, value in pairs
        ],
    )


@bp.get("/codes/new")
@requires(Permission.DISCOUNT_CODE_WRITE)
def new() -> str:
    """An empty form: a code that an e-mail address can use once."""
    return _form(None)


@bp.post("/codes/new")
@requires(Permission.DISCOUNT_CODE_WRITE)
def create() -> ResponseReturnValue:
    """Create a discount code."""
    made = ""

    def act() -> None:
        nonlocal made
        made = _save("", NEW)

    message = "The code is saved. Customers enter it at the checkout."
    return setting_forms.done(
        act, message, lambda: url_for("ops.codes.show", code=made), lambda refusal: _form(None, refusal)
    )


@bp.get("/codes/<code>")
@requires(Permission.DISCOUNT_CODE_READ)
def show(code: str) -> str:
    """A discount code: its form, and how often it was used."""
    return _form(_existing(code))


@bp.post("/codes/<code>")
@requires(Permission.DISCOUNT_CODE_WRITE)
def save(code: str) -> ResponseReturnValue:
    """Save the form of a discount code."""
    _existing(code)
    return setting_forms.done(
        lambda: _save(code, setting_forms.seen()),
        "Saved. Checkouts use it from now on; orders keep the discount that they have.",
        lambda: url_for("ops.codes.show", code=code),
        lambda refusal: _form(_existing(code), refusal),
    )


def label(field: str) -> str:
    """Label of a field, such as `Budget in TWD`."""
    first, _, of = field.partition(".")
    words = {"percent": "Percentage", "starts_at": "From", "ends_at": "Until", "use_limit": "Limit of uses"}
    words |= {"once_per_email": "Once per e-mail address", "is_active": "On"}
    return f"{words.get(first, first.capitalize())}{f' in {of}' if of else ''}"


def _existing(code: str) -> Listed:
    """The discount code. Aborts with 404."""
    return code_list.one(code) or abort(404, f"There is no discount code {code[:LONGEST]}.")


def _save(code: str, seen: int) -> str:
    """Save the submitted form, and return the code. Raises what `change.set_code` raises, and InvalidFields."""
    form = setting_forms.typed([*_NAMES, *(["code"] if not code else [])])
    percent, limit = form.whole("percent", 1, 100), form.whole("use_limit", 1, MOST_USES)
    amounts, budgets = form.amounts("amount", least=1), form.amounts("budget", least=1)
    starts_at, ends_at = form.moment("starts_at", zone()), form.moment("ends_at", zone())
    if starts_at and ends_at and starts_at >= ends_at:
        form.errors["ends_at"] = "The end must be after the start."
    form.checked()
    once, is_active = form.flag("once_per_email"), form.flag("is_active")
    named = code or form.raw("code")[: 10 * LONGEST]
    changed = NewCode(named, percent, amounts, budgets, starts_at, ends_at, limit, once, is_active)
    return change.set_code(changed, by=acts.reader(), seen=seen)


def _form(code: Listed | None, refusal: Refusal | None = None) -> str:
    now = clock.now()
    return render_template(
        "ops/code.html",
        code=code,
        at=now,
        tones=TONES,
        currencies=CURRENCIES,
        longest=LONGEST,
        named=request.form.get("code", ""),
        zone=str(zone()),
        most_uses=MOST_USES,
        **setting_forms.shown(_as_typed(code), code.version if code else NEW, label, refusal),
    )


def _as_typed(code: Listed | None) -> Values:
    """The fields of a stored code, or of a new one."""
    values = {one.currency: one for one in code.values} if code else {}
    found = {"percent": str(code.percent) if code and code.percent is not None else ""}
    for name in CURRENCIES:
        value = values.get(name)
        found[f"amount.{name}"] = amount_text(value.amount if value else None, name)
        found[f"budget.{name}"] = amount_text(value.budget if value else None, name)
    found["starts_at"] = moment_text(code.starts_at if code else None, zone())
    found["ends_at"] = moment_text(code.ends_at if code else None, zone())
    found["use_limit"] = str(code.use_limit) if code and code.use_limit is not None else ""
    flags = {"once_per_email": code is None or code.once_per_email, "is_active": code is None or code.is_active}
    return found | {name: "yes" * is_set for name, is_set in flags.items()}
