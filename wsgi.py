"""What the processes serve: the shop, with its static files, and the acquirer under /acquirer when both share one
port.
"""

from __future__ import annotations

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from whitenoise import WhiteNoise

from shop import create_app
from shop.web import guard

_DAY = 24 * 3600

app = create_app()
app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]
    app.wsgi_app,
    root=app.static_folder,
    prefix="static/",
    max_age=_DAY,
    allow_all_origins=False,
    add_headers_function=guard.static_headers(app),
)

if app.config["ACQUIRER_MOUNT"]:
    import mock_acquirer

    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/acquirer": mock_acquirer.create_app()})  # type: ignore[method-assign]
