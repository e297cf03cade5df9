"""The settings that a start decides on, kept in `var/env` so that `flask` in a plain shell finds the running demo.

The environment always wins. Addresses and databases are decided anew on each start; secrets are made once and stay.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from say import Trouble

SECRETS = {"SECRET_KEY": lambda: secrets.token_urlsafe(48)}
"""Made on the first start. The acquirer's keys are none: its demo merchant is public, and written in its manual."""


def decide(var: Path, environ: Mapping[str, str], redis_socket: Path) -> dict[str, str]:
    """All settings of this start: `environ`, else earlier secrets, else defaults. Raises Trouble for a bad port."""
    port, acquirer_port = _port(environ, "PORT", 8000), _port(environ, "ACQUIRER_PORT", 9000)
    if port == acquirer_port:
        raise Trouble(f"PORT and ACQUIRER_PORT are both {port}; the shop and the acquirer need one each.")
    shop, acquirer = f"http://localhost:{port}", f"http://localhost:{acquirer_port}"
    token = environ.get("ACQUIRER_CONTROL_TOKEN") or "sim_demo"
    values = {
        "SETTLED_ENV": "development",
        "BIND_ADDRESS": "127.0.0.1",
        "PORT": str(port),
        "SHOP_URL": shop,
        "DATABASE_URL": f"sqlite:///{var / 'shop.db'}",
        "REDIS_URL": f"unix://{quote(str(redis_socket))}",
        "PROMETHEUS_MULTIPROC_DIR": str(var / "metrics"),
        "ACQUIRER_PORT": str(acquirer_port),
        "ACQUIRER_URL": f"http://127.0.0.1:{acquirer_port}",
        "ACQUIRER_PUBLIC_URL": acquirer,
        "ACQUIRER_DATABASE_URL": f"sqlite:///{var / 'acquirer.db'}",
        "ACQUIRER_CONTROL_TOKEN": token,
        "CONTROL_TOKEN": token,
        "ACQUIRER_WEBHOOK_TARGETS": f"{shop},http://127.0.0.1:{port}",
        "ACQUIRER_KPAY_WEBHOOK_URL": f"{shop}/webhooks/kpay",
        "ACQUIRER_PAYPAY_WEBHOOK_URL": f"{shop}/webhooks/paypay",
        "ACQUIRER_STRIPE_WEBHOOK_URL": f"{shop}/webhooks/stripe",
        "SHOP_CLOCK_URL": f"{shop}/dev/clock",
    }
    kept = read(var / "env")
    values |= {name: kept.get(name) or make() for name, make in SECRETS.items()}
    return {name: environ.get(name) or value for name, value in values.items()}


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise Trouble(f"{name} is {text!r}; it has to be a number from 1 to 65535.")
    return int(text)


def read(path: Path) -> dict[str, str]:
    """The KEY=VALUE lines of `path`; nothing when there is no such file yet."""
    if not path.exists():
        return {}
    return dict(
        line.split("=", 1) for line in path.read_text().splitlines() if "=" in line and not line.startswith("#")
    )


def write(path: Path, values: Mapping[str, str]) -> None:
    """Writes `values` for the owner's eyes only, all or nothing."""
    lines = [
        "# What bin/run started with; written anew on each start. The environment wins over it.",
        *map("=".join, values.items()),
    ]
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
    new.replace(path)
