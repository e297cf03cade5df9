"""Where webhooks may go: an allowlist of origins, checked when an address is given and again at every attempt."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import current_app

from mock_acquirer import dialects

LONGEST = 2000


def origin_of(url: str) -> str:
    """`scheme://host[:port]` in lower case. Raises ValueError for anything but a plain http(s) address."""
    if len(url) > LONGEST or any(ord(letter) < 33 or ord(letter) == 127 for letter in url) or "\\" in url:
        raise ValueError("not a plain address")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ValueError("not an http or https address")
    _ = parts.port  # raises ValueError when it is no number
    return f"{parts.scheme}://{parts.netloc}".lower()


def allowed_origins() -> set[str]:
    """The allowlist, and where the configured webhooks go."""
    configured = (dialect.merchant("demo").webhook_url for dialect in dialects.every().values())
    return {origin_of(url) for url in (*current_app.config["ACQUIRER_WEBHOOK_TARGETS"], *configured) if url}


def is_allowed(url: str) -> bool:
    """Whether a webhook may be sent there."""
    try:
        return origin_of(url) in allowed_origins()
    except ValueError:
        return False
