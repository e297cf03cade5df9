"""Acts of staff in the console: who acts, what they typed, and the answer to a refused act."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import flash, redirect, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from shop.core import reasons, text
from shop.core.actor import Actor
from shop.core.errors import BadInput, Refusal

Act = Callable[[], Any]


def reader() -> Actor:
    """The member of staff who sends this request."""
    return Actor.staff(current_user.id)


def reason(*, required: bool = True) -> str:
    """The reason in the form, as one line without invisible characters. Raises BadInput `bad_reason` for one that is
    missing, is too long or has control characters.
    """
    typed = text.tidy(request.form.get("reason", ""))
    if required and not typed:
        raise BadInput("bad_reason", "Give a reason. It is kept in the history.")
    if len(typed) > reasons.LONGEST:
        raise BadInput("bad_reason", f"A reason has at most {reasons.LONGEST} characters.")
    if text.is_unusable(typed):
        raise BadInput("bad_reason", "A reason has no control characters.")
    return typed


def done(
    act: Act, message: str | Callable[[Any], str], to: str, again: Callable[[Refusal], str]
) -> ResponseReturnValue:
    """Carry out an act and redirect to the address `to`, where `message` is shown; a function makes it from
    the result of the act.

    A refused act changes nothing: the page that `again` renders says why, with the present numbers.
    """
    try:
        result = act()
    except Refusal as refusal:
        return again(refusal), refusal.status
    flash(message if isinstance(message, str) else message(result))
    return redirect(to, 303)
