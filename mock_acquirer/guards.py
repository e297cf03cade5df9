"""Protection of the pages: headers, same-origin posts with a token, and access to the control pages."""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

from flask import Response, abort, current_app, request, session

from mock_acquirer import targets
from mock_acquirer.language import marked
from mock_acquirer.models import Payment

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "form-action {forms}; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Content-Security-Policy": POLICY.format(forms="'self'"),
}


def add_headers(response: Response) -> Response:
    """Set security headers on every response; only files under /static may be cached."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def may_post_on_to(response: Response, payment: Payment) -> Response:
    """Allow this page's forms to redirect to the shop's return address, which a plain `'self'` would block."""
    if not payment.return_url:
        return response
    forms = f"'self' {targets.origin_of(payment.return_url)}"
    response.headers["Content-Security-Policy"] = POLICY.format(forms=forms)
    return response


def token() -> str:
    """CSRF token of this browser's forms, stored in the cookie `acq`."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(18)
    found: str = session["csrf"]
    return found


def require_own_form() -> None:
    """Refuse (403) a POST that does not come from our own pages."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "")
    ours = {_origin(request.host_url), _origin(current_app.config["ACQUIRER_PUBLIC_URL"])}
    foreign = origin is not None and _origin(origin) not in ours
    if foreign or site not in ("", "same-origin", "none"):
        abort(403, marked("This form was sent from another site. Open the payment page and try again there."))
    if origin and site == "same-origin":
        return  # Sec-Fetch-Site is enough; after a double click that opens two first tabs, one lacks the cookie's token
    sent = request.form.get("csrf", "")
    if not hmac.compare_digest(sent.encode("utf-8", "replace"), session.get("csrf", "").encode()) or not sent:
        abort(403, marked("This form has expired, or cookies are blocked. Reload the payment page and try again."))


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}".lower()


def require_control() -> None:
    """Answer 404 while the control API is off: logs, payment lists and the simulation panel belong to it."""
    if not current_app.config["ACQUIRER_CONTROL"]:
        abort(404)
