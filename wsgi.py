"""WSGI application: the shop, with its static files, and the acquirer under /acquirer when both share one port."""

from __future__ import annotations

import gc

gc.disable()  # collections while 1,600 modules are imported find nothing and take a fifth of the time of a start

import sys
from collections.abc import Callable

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from whitenoise import WhiteNoise

from shop import create_app
from shop.http_kit import request_guard
from shop.settings import BadSetting

_DAY = 24 * 3600
_NO_START = 3
"""The exit code on which gunicorn gives up instead of trying again for ever."""


def _made(create: Callable[[], Flask], refused: type[Exception]) -> Flask:
    """The app, or the end of this process with the one sentence that says which settings are wrong."""
    try:
        return create()
    except refused as sentence:
        sys.stderr.write(f"{sentence}\n")
        raise SystemExit(_NO_START) from None


app = _made(create_app, BadSetting)
app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]
    app.wsgi_app,
    root=app.static_folder,
    prefix="static/",
    max_age=_DAY,
    allow_all_origins=False,
    add_headers_function=request_guard.static_headers(app),
)

if app.config["ACQUIRER_MOUNT"]:
    import mock_acquirer

    mounted = _made(mock_acquirer.create_app, mock_acquirer.BadSetting)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/acquirer": mounted})  # type: ignore[method-assign]

gc.freeze()  # what has been made so far is kept until the process ends
gc.enable()
