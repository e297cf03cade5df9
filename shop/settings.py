"""Every setting of the shop: its name, default and meaning. `docs/settings.md` is generated from this table.

A payment provider declares its own rows in its own file (see `shop.payments.provider`), so that adding one edits
nothing here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Setting:
    """One row: environment variable, default as it would be written there, what it means. `kind` is str, int, float or
    bool.
    """

    name: str
    default: str
    meaning: str
    kind: type = str
    secret: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "SETTLED_ENV",
        "development",
        "`development` or `production`. Production needs a SECRET_KEY and refuses to turn the clock.",
    ),
    Setting("SECRET_KEY", "", "Signs the cookie and links. Made by `bin/run` on the first start.", secret=True),
    Setting("PORT", "8000", "Port of the shop.", int),
    Setting("SHOP_URL", "http://localhost:8000", "Address under which buyers and acquirers reach the shop."),
    Setting(
        "ACQUIRER_URL",
        "http://127.0.0.1:9000",
        "Base address for calls from the shop to the acquirers that are mocked.",
    ),
    Setting(
        "ACQUIRER_PUBLIC_URL",
        "http://localhost:9000",
        "Origin of the acquirer's pages; the content-security policy names it.",
    ),
    Setting(
        "DATABASE_URL", "sqlite:///var/shop.db", "SQLite or PostgreSQL (`postgres://` is understood).", secret=True
    ),
    Setting(
        "REDIS_URL",
        "",
        "Redis for queues, sign-ins and live updates. Empty: the shop runs as if Redis were away.",
        secret=True,
    ),
    Setting("REDIS_TLS_INSECURE", "false", "Accept a self-signed certificate on `rediss://` (Heroku).", bool),
    Setting(
        "TRUSTED_HOSTS",
        "",
        "Comma-separated host names that are answered; empty: the host of SHOP_URL, localhost and 127.0.0.1.",
    ),
    Setting("PROXY_HOPS", "0", "How many trusted proxies stand in front and set X-Forwarded headers.", int),
    Setting("PAY_WITHIN", "1800", "Seconds a buyer has to pay; stock is held that long.", int),
    Setting(
        "PAY_WITHIN_STORE",
        "259200",
        "Seconds that an order waits at most for a code to be paid at a convenience store.",
        int,
    ),
    Setting(
        "REFUND_NEEDS_TWO",
        "1000000",
        "What one person may send back of an order, in minor units. More needs a second one.",
        int,
    ),
    Setting(
        "ALERT_CONFIRM_SECONDS",
        "30",
        "Seconds that a capture we have heard of may take to make its order PAID before Rule A says so.",
        int,
    ),
    Setting("CALLS_PER_SECOND", "100", "Calls per second that the shop allows itself towards each provider.", int),
    Setting("CONNECT_TIMEOUT", "1", "Seconds to wait for a connection to a provider.", float),
    Setting("READ_TIMEOUT", "5", "Seconds to wait for a provider's answer.", float),
    Setting(
        "CONTROL_TOKEN",
        "sim_demo",
        "Bearer token that may turn the clock in development (`POST /dev/clock`).",
        secret=True,
    ),
    Setting("LOG_FORMAT", "", "`json` or `text`; empty: json in production, text in development."),
    Setting("ACQUIRER_MOUNT", "false", "Serve the mock acquirer under `/acquirer` of the shop's own port.", bool),
    Setting("SEED_STOCK", "1", "Multiplies the stock of the seeded catalogue (load tests).", int),
)


class BadSetting(ValueError):
    """A setting has a value that cannot be used. The message names it and says what would be right; never its value if
    secret.
    """


def read(rows: Iterable[Setting], environ: Mapping[str, str]) -> dict[str, Any]:
    """The values of `rows` from `environ`, converted. Raises BadSetting."""
    values: dict[str, Any] = {}
    for row in rows:
        text = environ.get(row.name, "").strip() or row.default
        try:
            values[row.name] = _convert(text, row.kind)
        except ValueError as error:
            shown = "its value" if row.secret else repr(text)
            raise BadSetting(f"{row.name}: {shown} is not {_KIND_WORDS[row.kind]}.") from error
    return values


_KIND_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_BOOLS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def _convert(text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in _BOOLS:
            raise ValueError(text)
        return _BOOLS[text.lower()]
    return kind(text)


def environment(path: Path = ROOT / "var" / "env") -> dict[str, str]:
    """The process environment over what `bin/run` wrote to `var/env`, so that a plain shell finds the running demo."""
    values: dict[str, str] = {}
    if path.exists():
        for line in path.read_text().splitlines():
            match = re.match(r"([A-Z][A-Z0-9_]*)=(.*)$", line.strip())
            if match:
                values[match[1]] = match[2].strip().strip("\"'")
    return {**values, **os.environ}


def load(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """All settings of the shop. Raises BadSetting when one cannot be used, or when production lacks its secret."""
    values = read(SETTINGS, environment() if environ is None else environ)
    if values["SETTLED_ENV"] not in ("development", "production"):
        raise BadSetting("SETTLED_ENV: only development or production.")
    if not values["SECRET_KEY"]:
        if values["SETTLED_ENV"] == "production":
            raise BadSetting("SECRET_KEY: production needs one, at least 32 random characters.")
        values["SECRET_KEY"] = "development-only-" + "0" * 32
    values["DATABASE_URL"] = database_url(values["DATABASE_URL"])
    return values


def database_url(url: str) -> str:
    """SQLAlchemy's spelling of a database address; Heroku writes `postgres://`, and relative SQLite paths start at the
    project.
    """
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    relative = re.match(r"sqlite:///(?!/)(.+)$", url)
    if relative and relative[1] != ":memory:":
        path = ROOT / relative[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{path}"
    return url
