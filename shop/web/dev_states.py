"""Every status of the order page and every kind of mail side by side, for the team, in development only.

The pages are rendered from samples in memory by the templates that customers get.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import flask_babel
from flask import Blueprint, Response, abort, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.core import clock, languages
from shop.core.errors import BadInput
from shop.http_kit.access import access
from shop.web import dev_sample_mails as mails
from shop.web import dev_sample_orders as orders
from shop.web.orders import qr_picture

SCHEMES = ("light", "dark")
_SCRIPT = re.compile(r"<script [^>]*></script>")
"""The frames run no scripts."""
blueprint = Blueprint("dev_states", __name__)


class Choice(NamedTuple):
    """The language of the samples, and their colour scheme; empty for that of the browser."""

    locale: str
    scheme: str

    @property
    def query(self) -> dict[str, str]:
        """The parameters of this choice."""
        return {"lang": languages.tag(self.locale), **({"scheme": self.scheme} if self.scheme else {})}


@blueprint.after_request
def never_stored(response: Response) -> Response:
    """The samples change with the code."""
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get("/dev/states")
@access("public")
def index() -> str:
    """Every status of the order page side by side. Development only; `?lang=`, `?scheme=`."""
    choice = _chosen("lang", "scheme")
    pages = {name: _SCRIPT.sub("", order_page(name, choice)) for name in orders.SAMPLES}
    return render_template("dev/states.html", pages=pages, choice=choice, schemes=SCHEMES, **_languages())


@blueprint.get("/dev/states/<name>")
@access("public")
def show(name: str) -> str:
    """One status of the order page, as the customer gets it, without live updates. Development only."""
    choice = _chosen("lang", "scheme")
    return order_page(name, choice) if name in orders.SAMPLES else abort(404)


@blueprint.get("/dev/states/qr.svg")
@access("public")
def qr() -> Response:
    """The QR code of the sample that shows one. Development only."""
    return qr_picture(orders.acquirer_page())


@blueprint.get("/dev/mails")
@access("public")
def all_mails() -> ResponseReturnValue:
    """Every kind of mail with sample data, as HTML and as text. Development only; `?lang=`."""
    choice = _chosen("lang")
    contents = {name: mails.content(name, choice.locale) for name in mails.SAMPLES}
    return make_response(render_template("dev/mails.html", mails=contents, choice=choice, **_languages()))


def order_page(name: str, choice: Choice) -> str:
    """The order page of a sample, with a QR code that needs no stored order."""
    with flask_babel.force_locale(choice.locale):
        s = orders.status(name, choice.locale)
        page = render_template("dev/state.html", s=s, scheme=choice.scheme, updated_at=clock.now(), form_id="")
    stored = url_for("orders.qr", token=orders.TOKEN, payment=orders.PAYMENT)
    return page.replace(stored, url_for("dev_states.qr"))


def _languages() -> dict[str, object]:
    return {"languages": {languages.tag(locale): name for locale, name in languages.OFFERED.items()}}


def _chosen(*known: str) -> Choice:
    """The choice in the address. Raises BadInput for parameters and values that are not known."""
    if unknown := sorted(set(request.args) - set(known)):
        raise BadInput("unknown_parameter", f"{unknown[0]!r:.80} is not one of {', '.join(known)}.")
    tag, scheme = request.args.get("lang", "en"), request.args.get("scheme", "")
    locale = languages.offered(tag)
    if locale is None:
        raise BadInput("unknown_language", f"lang is one of {', '.join(map(languages.tag, languages.OFFERED))}.")
    if scheme not in ("", *SCHEMES):
        raise BadInput("unknown_scheme", f"scheme is one of {', '.join(SCHEMES)}.")
    return Choice(locale, scheme)
