"""Forms of the pages on which staff change how the shop sells: what was typed, what is saved, and a refused form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import flash, redirect, request
from flask.typing import ResponseReturnValue

from shop.accounts import rights
from shop.core.errors import Refusal
from shop.core.languages import OFFERED, tag
from shop.core.typed_fields import InvalidFields, Typed, of_languages, translated
from shop.core.versions import NEW, ChangedMeanwhile

_HIDDEN = ("csrf_token", "version", "reason")
SAVED = "Saved. Checkouts show it from now on; orders keep what they were placed with."
Again = Callable[[Refusal], str]
Values = Mapping[str, str]


def typed(names: Sequence[str], several: Sequence[str] = ()) -> Typed:
    """The submitted form, which has these fields. Raises BadInput `unknown_field`."""
    return Typed(dict(request.form.lists()), [*_HIDDEN, *names], several)


def seen() -> int:
    """The version that the form showed; -1, which no row has, for a changed field."""
    number = request.form.get("version", "")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else -1


def done(act: Callable[[], object], message: str, to: Callable[[], str], again: Again) -> ResponseReturnValue:
    """Carry out an act and redirect to the address `to`, where `message` is shown.

    A refused act changes nothing: the page that `again` renders says why, with what was typed.
    """
    try:
        act()
    except rights.Forbidden:
        raise
    except Refusal as refusal:
        return again(refusal), refusal.status
    flash(message)
    return redirect(to(), 303)


def shown(stored: Values, version: int, label: Callable[[str], str], refusal: Refusal | None = None) -> dict[str, Any]:
    """Values of a template with a form: the stored ones, after a refusal those that were typed.

    A form that a colleague has overtaken also gets the stored values that differ, as (field, value), and the present
    version: saving it again replaces them knowingly.
    """
    is_stale = isinstance(refusal, ChangedMeanwhile)
    is_typed = refusal is not None and any(name in request.form for name in stored)
    values = {name: " ".join(request.form.getlist(name)) for name in stored} if is_typed else dict(stored)
    number = request.form.get("version", "") if refusal and not is_stale else version
    return {
        "typed": values,
        "version": number,
        "refusal": refusal,
        "errors": refusal.errors if isinstance(refusal, InvalidFields) else {},
        "now": [(name, stored[name]) for name in stored if stored[name] != values[name]] if is_stale else [],
        "reason": request.form.get("reason", "") if refusal else "",
        "label": label,
        "new": NEW,
    }


def names(row: Any) -> Values:
    """The fields with the names of a stored row in each language; empty without one."""
    found = {translated("name", locale): text.get("name", "") for locale, text in (row.texts if row else {}).items()}
    return dict.fromkeys(of_languages("name"), "") | found | {"name": row.name if row else ""}


def languages() -> list[tuple[str, str, str]]:
    """Locale, tag and name of each language, English first."""
    return [(locale, tag(locale), name) for locale, name in OFFERED.items()]


def missing(texts: Mapping[str, Any]) -> list[str]:
    """Names of the languages that have no text of their own."""
    return [name for locale, name in list(OFFERED.items())[1:] if not texts.get(locale)]
