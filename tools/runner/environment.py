"""Settings decided at the start, stored in `var/env` so that `flask` in a plain shell finds the running demo.

The environment always wins. Addresses and databases are decided at each start; secrets are generated once and kept.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from say import Trouble

SECRETS: dict[str, Callable[[], str]] = dict.fromkeys(
    ("SECRET_KEY", "API_TOKEN_KEY"), lambda: secrets.token_urlsafe(48)
)
"""Secrets generated at the first start. The acquirer's keys are not: its demo merchant's are public and documented."""

ADDRESSES = {"KPAY": "KPAY_URL", "PAYPAY": "PAYPAY_URL", "STRIPE": "STRIPE_API_BASE", "TPAY": "TPAY_URL"}


def decide(var: Path, environ: Mapping[str, str], redis_socket: Path, *, verbose: bool = False) -> dict[str, str]:
    """All settings of this start: `environ`, else earlier secrets, else defaults. Raises Trouble for an invalid port.

    Both programs log text, warnings only, or with `verbose` every request.
    """
    port, acquirer_port = _port(environ, "PORT", 8000), _port(environ, "ACQUIRER_PORT", 9000)
    if port == acquirer_port:
        raise Trouble(f"PORT and ACQUIRER_PORT are both {port}; they must differ.")
    shop, acquirer = f"http://localhost:{port}", f"http://localhost:{acquirer_port}"
    token = environ.get("ACQUIRER_CONTROL_TOKEN") or "sim_demo"
    log = {"LEVEL": "info" if verbose else "warning", "FORMAT": "text"}
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
    values |= {f"{program}LOG_{name}": value for program in ("", "ACQUIRER_") for name, value in log.items()}
    # A provider with an address of its own is not the mock started here.
    values |= {f"{name}_MOCKED": "off" if environ.get(own) else "on" for name, own in ADDRESSES.items()}
    kept = read(var / "env")
    values |= {name: kept.get(name) or make() for name, make in SECRETS.items()}
    return {name: environ.get(name) or value for name, value in values.items()}


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise Trouble(f"{name} is {text!r}; it must be a number from 1 to 65535.")
    return int(text)


def read(path: Path) -> dict[str, str]:
    """The KEY=VALUE lines of `path`; empty when the file does not exist."""
    if not path.exists():
        return {}
    return dict(
        line.split("=", 1) for line in path.read_text().splitlines() if "=" in line and not line.startswith("#")
    )


def write(path: Path, values: Mapping[str, str]) -> None:
    """Write `values` atomically, readable by the owner alone."""
    lines = [
        "# Settings of the last bin/run, rewritten at each start. The environment wins over them.",
        *map("=".join, values.items()),
    ]
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
    new.replace(path)
