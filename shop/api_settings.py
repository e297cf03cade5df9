"""Settings of the JSON API, beside those of `shop.settings`."""

from __future__ import annotations

from shop.setting_kinds import OnOrOff, Setting, WebOrigins

DEVELOPMENT_TOKEN_KEY = "development-only-token-" + "0" * 32
"""API_TOKEN_KEY of a development environment that has none; it is public."""
API_SETTINGS: tuple[Setting, ...] = (
    Setting(
        "API_TOKEN_KEY",
        "",
        "Signs the access and refresh tokens of the API; at least 32 random characters. Made by `bin/run` on the first "
        "start. To replace it, put the new key first and keep the former one behind a comma for 30 days.",
        secret=True,
    ),
    Setting(
        "API_CORS_ORIGINS",
        "",
        "Origins of pages that may call the API from a browser, such as `https://app.example.com`, by commas.",
        WebOrigins,
    ),
    Setting(
        "ROOT_API_ALIASES",
        "",
        "`on`: `/auth`, `/payments` and `/orders` at the root of the site answer as the API too, for programs that "
        "need them there; `off`: they do not. Empty: on in development, off in production.",
        OnOrOff,
    ),
)
