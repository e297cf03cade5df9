"""Accepted host names and trusted proxies.

With DNS rebinding, a page of another site points its own name to this machine and may then read every response, because
the
browser treats both as one site. So only the acquirer's own host names are accepted.
"""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.sansio.utils import host_is_trusted

from mock_acquirer.errors import Refused

PROBES = ("healthz",)
"""Endpoints that platforms request by address: any host name is accepted."""


def set_up(app: Flask) -> None:
    """Refuse (400) foreign host names; trust as many proxies as ACQUIRER_PROXY_HOPS says."""
    trusted = list(app.config["ACQUIRER_TRUSTED_HOSTS"]) or _own(app.config["ACQUIRER_PUBLIC_URL"])
    if hops := app.config["ACQUIRER_PROXY_HOPS"]:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]

    def look() -> None:
        if request.endpoint not in PROBES and not host_is_trusted(request.host.lower(), trusted):
            raise Refused(400, "invalid_request", "foreign_host", "This host name is not one of the acquirer's.")

    app.before_request(look)


def _own(public_url: str) -> list[str]:
    host = urlsplit(public_url).hostname
    return list(dict.fromkeys(filter(None, (host, socket.gethostname().lower(), "localhost", "127.0.0.1", "[::1]"))))
