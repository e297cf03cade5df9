"""Bearer tokens of the operator: the control token and the metrics token, each a setting."""

from __future__ import annotations

import hmac

from flask import current_app, request

TOKENS = {"CONTROL_TOKEN": "the control token", "METRICS_TOKEN": "the metrics token"}
"""Settings that hold a bearer token, and the token's name in messages."""


def proves(setting: str) -> bool:
    """True if the request carries the token in `setting`, compared in constant time. An empty token grants nothing."""
    token: str = current_app.config[setting]
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    fits = hmac.compare_digest(given.strip().encode(errors="replace"), token.encode())
    return bool(token) and scheme.lower() == "bearer" and fits
