"""Generate secrets for a new installation, as KEY=VALUE lines: `python3 deploy/make_secrets.py > deploy/.env`.

Needs only Python. Replace the lines of real providers by the keys that they gave you.
"""

from __future__ import annotations

import base64
import secrets
import sys

OURS = ("SECRET_KEY", "API_TOKEN_KEY", "METRICS_TOKEN", "ACQUIRER_CONTROL_TOKEN")
OF_PROVIDERS = (
    "KPAY_API_KEY",
    "PAYPAY_API_KEY",
    "PAYPAY_SECRET",
    "STRIPE_API_KEY",
    "STRIPE_WEBHOOK_SECRET",
    "TPAY_HASH_KEY",
    "TPAY_HASH_IV",
    "TPAY_WEBHOOK_SECRET",
)


def made() -> dict[str, str]:
    """A new value for every secret, by its name."""
    found = {name: secrets.token_urlsafe(48) for name in (*OURS, *OF_PROVIDERS)}
    return found | {"KPAY_WEBHOOK_SECRET": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()}


if __name__ == "__main__":
    sys.stdout.write("".join(f"{name}={value}\n" for name, value in made().items()))
