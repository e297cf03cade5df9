"""API keys: the keys of all members of staff, making one, revocation."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import api_keys, sessions
from shop.accounts.permissions import MONEY, Permission, permissions_of
from shop.core.errors import Refusal
from shop.http_kit.access import requires
from shop.ops import acts
from shop.ops.navigation import Group, Link

bp = Blueprint("api_keys", __name__)
LINKS = (Link("API keys", "ops.api_keys.index", Permission.API_KEY_READ, Group.SYSTEM),)


@bp.get("/api-keys")
@requires(Permission.API_KEY_READ)
def index() -> str:
    """The newest keys, without their secrets."""
    return _page()


@bp.post("/api-keys")
@requires(Permission.API_KEY_OWN, fresh=True)
def make() -> ResponseReturnValue:
    """Make a key, after the password or a passkey: the key itself needs neither. The answer shows it, once."""
    scopes = request.form.getlist("scopes")
    try:
        made = api_keys.make(request.form.get("name", ""), scopes, by=acts.reader())
    except Refusal as refusal:
        return _page(refusal), refusal.status
    return _shown_once(made.text)


@bp.post("/api-keys/<int:key_id>/revoke")
@requires(Permission.API_KEY_READ)
def revoke(key_id: int) -> ResponseReturnValue:
    """Revoke an own key, or with `api_key.revoke` any."""
    return acts.done(
        lambda: api_keys.revoke(key_id, by=acts.reader()),
        "The key is revoked. Programs that use it get 401 from now on.",
        url_for("ops.api_keys.index"),
        _page,
    )


def _shown_once(text: str) -> Response:
    return make_response(render_template("ops/api_key.html", key=text))


def _page(refusal: Refusal | None = None) -> str:
    user = sessions.require_user()
    return render_template(
        "ops/api_keys.html",
        keys=api_keys.listed(),
        reader_id=user.id,
        scopes=[one for one in Permission if one in permissions_of(user.roles)],
        money=MONEY,
        refusal=refusal,
        typed=request.form if refusal else {},
        chosen=request.form.getlist("scopes") if refusal else [],
        shown=api_keys.SHOWN,
    )
