"""Settings of the mock acquirer: rows of name, default, reader and meaning. The environment wins over the defaults."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from limits import RateLimitItem, parse

_BESIDE = Path(__file__).resolve().parent.parent
ROOT = _BESIDE if (_BESIDE / "templates").is_dir() else Path(sys.prefix) / "share" / "settled"
"""Where templates, static files and migrations are: beside this package, or where pip puts shared files."""
SWITCH = {"on": True, "1": True, "true": True, "yes": True, "off": False, "0": False, "false": False, "no": False}


class BadSetting(RuntimeError):
    """A setting that the acquirer cannot start with; the message is a sentence for the operator."""


def text(value: str) -> str:
    return value.strip()


def switch(value: str) -> bool:
    """`on` or `off` (also 1/0, true/false, yes/no)."""
    return SWITCH[value.strip().lower()]


def auto_switch(value: str) -> bool | None:
    """As `switch`, but empty means: decide by SETTLED_ENV."""
    return switch(value) if value.strip() else None


def web_address(value: str) -> str:
    """An http(s) address without a trailing slash, or empty."""
    value = value.strip().rstrip("/")
    if value and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
        raise ValueError("not an http or https address")
    return value


def origins(value: str) -> tuple[str, ...]:
    """Comma list of origins (`scheme://host[:port]`)."""
    return tuple(web_address(part) for part in value.split(",") if part.strip())


def positive(value: str) -> float:
    number = float(value)
    if not 0 <= number < 1e9:
        raise ValueError("not a positive number")
    return number


def rate(value: str) -> RateLimitItem | None:
    """A limit such as `600/second`, or None when empty."""
    return parse(value) if value.strip() else None


@dataclass(frozen=True)
class Row:
    """One setting: its name, its default as text, how the text is read, and what it means."""

    name: str
    default: str
    read: Callable[[str], Any]
    meaning: str


ROWS: tuple[Row, ...] = (
    Row("SETTLED_ENV", "development", text, "development or production; production needs real secrets."),
    Row("ACQUIRER_PORT", "9000", int, "Port of the acquirer when it runs on its own."),
    Row(
        "ACQUIRER_DATABASE_URL",
        f"sqlite:///{ROOT / 'var' / 'acquirer.db'}",
        text,
        "The acquirer's own database: SQLite under var/ by default, or PostgreSQL.",
    ),
    Row(
        "ACQUIRER_PUBLIC_URL",
        "http://localhost:9000",
        web_address,
        "Address under which browsers reach the acquirer, mount prefix included; checkout links start with it.",
    ),
    Row("ACQUIRER_SECRET_KEY", "", text, "Signs the cookie `acq`. Empty: derived from SECRET_KEY."),
    Row(
        "SECRET_KEY",
        "",
        text,
        "Used when ACQUIRER_SECRET_KEY is empty. One of them must be set in production.",
    ),
    Row(
        "ACQUIRER_CONTROL",
        "",
        auto_switch,
        "on or off: the control API, the fate panel and the logs. Empty: on, but off in production.",
    ),
    Row("ACQUIRER_CONTROL_TOKEN", "sim_demo", text, "Bearer token of the control API `/_sim`."),
    Row(
        "ACQUIRER_WEBHOOK_TARGETS",
        "http://localhost:8000,http://127.0.0.1:8000",
        origins,
        "Comma list of origins that webhooks may go to, `:*` for every port. Configured webhook addresses are added.",
    ),
    Row(
        "ACQUIRER_WEBHOOK_PUBLIC",
        "off",
        switch,
        "on: webhooks may also go to any https address of the public network, checked and pinned at every attempt.",
    ),
    Row(
        "ACQUIRER_RATE_LIMIT",
        "600/second",
        rate,
        "Requests that one address may make of one process; then 429 with Retry-After. Empty: no limit.",
    ),
    Row(
        "ACQUIRER_SESSION_SECONDS",
        "1800",
        positive,
        "Seconds that a payment page stays open by default.",
    ),
    Row("ACQUIRER_STORE_CODE_SECONDS", "259200", positive, "Seconds that a convenience-store code can be paid."),
    Row("ACQUIRER_TIMEOUT_HOLD", "8", positive, "Seconds (wall time) that an API call with a timeout fault is held."),
    Row("ACQUIRER_LOOP", "on", switch, "on or off: the serving process also runs the delivery loop in a thread."),
    Row("ACQUIRER_THREADS", "8", int, "Deliveries that one process sends at the same time."),
    Row("ACQUIRER_LOG_LEVEL", "INFO", text, "Lowest level that is logged."),
    Row("REDIS_URL", "", text, "Redis for the RQ queue `acquirer`. Empty, or away: the delivery loop sends by itself."),
    Row("REDIS_TLS_INSECURE", "off", switch, "on: take Redis over rediss:// with a self-signed certificate (Heroku)."),
    Row(
        "SHOP_CLOCK_URL",
        "",
        web_address,
        "Address of the shop's development clock; turned together with the clock of the default run.",
    ),
)


def environment() -> dict[str, str]:
    """What the runner wrote to `var/env` (KEY=VALUE lines), overlaid by the environment of the process."""
    found: dict[str, str] = {}
    written = ROOT / "var" / "env"
    if written.is_file():
        for line in written.read_text(encoding="utf-8").splitlines():
            name, equals, value = line.partition("=")
            if equals and not name.lstrip().startswith("#"):
                found[name.strip()] = value.strip()
    return found | dict(os.environ)


def load(rows: Iterable[Row], given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read every row. `given` wins over the environment; with it, `var/env` is not looked at.

    Raises BadSetting, naming the setting, when a value cannot be read.
    """
    source: dict[str, Any] = environment() if given is None else dict(os.environ) | dict(given)
    values: dict[str, Any] = {}
    for row in rows:
        raw = source.get(row.name, row.default)
        try:
            values[row.name] = row.read(raw) if isinstance(raw, str) else raw
        except (KeyError, ValueError) as wrong:
            raise BadSetting(f"{row.name} cannot be {raw!r}. {row.meaning}") from wrong
    if values["ACQUIRER_CONTROL"] is None:
        values["ACQUIRER_CONTROL"] = values["SETTLED_ENV"] != "production"
    return values
