"""Categories: create, rename in each language, order, and delete empty ones."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.catalogue import category_changes
from shop.core.errors import Refusal
from shop.core.languages import ENGLISH, OFFERED
from shop.http_kit.access import requires
from shop.ops import acts
from shop.ops.navigation import Group, Link

bp = Blueprint("categories", __name__)
LINKS = (Link("Categories", "ops.categories.index", Permission.PRODUCT_READ, Group.SHOP),)


@bp.get("/categories")
@requires(Permission.PRODUCT_READ)
def index() -> str:
    """All categories in their order, with the number of their products."""
    return _page()


@bp.post("/categories")
@requires(Permission.PRODUCT_WRITE)
def create() -> ResponseReturnValue:
    """Create a category."""
    name, names = _names()
    return _done("", lambda: category_changes.create(name, names, by=acts.reader()), "The category is created.")


@bp.post("/categories/<slug>")
@requires(Permission.PRODUCT_WRITE)
def rename(slug: str) -> ResponseReturnValue:
    """Save the names of a category."""
    name, names = _names()
    seen = _number("version")
    return _done(slug, lambda: category_changes.rename(slug, name, names, seen=seen, by=acts.reader()), "Saved.")


@bp.post("/categories/<slug>/move")
@requires(Permission.PRODUCT_WRITE)
def move(slug: str) -> ResponseReturnValue:
    """Put a category at another place of the order."""
    place = _number("place")
    return _done(slug, lambda: category_changes.move(slug, place, by=acts.reader()), "The order is saved.")


@bp.post("/categories/<slug>/delete")
@requires(Permission.PRODUCT_WRITE)
def remove(slug: str) -> ResponseReturnValue:
    """Delete an empty category."""
    return _done(slug, lambda: category_changes.remove(slug, by=acts.reader()), "The category is deleted.")


def _done(slug: str, act: Callable[[], object], message: str) -> ResponseReturnValue:
    try:
        act()
    except rights.Forbidden:
        raise
    except Refusal as refusal:
        return _page(slug, refusal), refusal.status
    flash(message)
    return redirect(url_for("ops.categories.index"), 303)


def _page(slug: str = "", refusal: Refusal | None = None) -> str:
    return render_template(
        "ops/categories.html",
        categories=category_changes.with_products(),
        languages=OFFERED,
        english=ENGLISH,
        longest=category_changes.LONGEST,
        at=slug,
        refusal=refusal,
        typed=request.form if refusal and "name.en" in request.form else {},
    )


def _names() -> tuple[str, dict[str, str]]:
    names = {locale: request.form.get(f"name.{locale}", "") for locale in OFFERED}
    return names.pop(ENGLISH), names


def _number(field: str) -> int:
    """The number in a hidden field; -1 for a changed one."""
    typed = request.form.get(field, "")
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 10 else -1
