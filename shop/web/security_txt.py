"""`/.well-known/security.txt` (RFC 9116): contacts for vulnerability reports."""

from __future__ import annotations

import re
from datetime import timedelta

from flask import Blueprint, Flask, Response, abort, current_app

from shop.core import clock
from shop.http_kit.access import access
from shop.settings import BadSetting, several

EXPIRES_AFTER = timedelta(days=180)
"""RFC 9116 recommends less than a year; the date moves on every day."""
_CONTACT = re.compile(r"(?:mailto:[^\s@]+@[^\s@]+|https://[^\s/]+\S*|tel:\+?[0-9-]+)\Z")
_ADDRESS = re.compile(r"[^\s@:/]+@[^\s@:/]+\Z")

blueprint = Blueprint("security_txt", __name__)


def init_app(app: Flask) -> None:
    """Read SECURITY_CONTACT. Raises BadSetting."""
    app.extensions["settled_security_contacts"] = contacts(app.config["SECURITY_CONTACT"])


def contacts(written: str) -> list[str]:
    """The contacts of a comma-separated list, as addresses with a scheme. Raises BadSetting."""
    found = [f"mailto:{one}" if _ADDRESS.match(one) else one for one in several(written)]
    if not all(_CONTACT.match(one) for one in found):
        raise BadSetting("SECURITY_CONTACT: an e-mail address, or an address that begins with https:, mailto: or tel:.")
    return found


@blueprint.get("/.well-known/security.txt")
@access("public")
def security_txt() -> Response:
    """Contacts in the order of preference; 404 when SECURITY_CONTACT names none."""
    found: list[str] = current_app.extensions["settled_security_contacts"]
    if not found:
        abort(404)
    expires = (clock.wall() + EXPIRES_AFTER).replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [f"Contact: {one}" for one in found]
    lines.append(f"Expires: {expires:%Y-%m-%dT%H:%M:%SZ}")
    lines.append("Preferred-Languages: en")
    lines.append(f"Canonical: {str(current_app.config['SHOP_URL']).rstrip('/')}/.well-known/security.txt")
    headers = {"Cache-Control": "public, max-age=3600"}
    return Response("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8", headers=headers)
