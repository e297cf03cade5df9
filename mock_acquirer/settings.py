"""Settings of the mock acquirer: rows of name, default, parser and meaning. The environment overrides the defaults."""

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
"""Folder of templates, static files and migrations: beside this package, or where pip installs shared files."""
SWITCH = {"on": True, "1": True, "true": True, "yes": True, "off": False, "0": False, "false": False, "no": False}


SHORTEST_SECRET = 32
"""Minimum length of a key or token that the operator chooses."""


class BadSetting(RuntimeError):
    """An invalid setting that prevents the start; the message is a sentence for the operator."""


def text(value: str) -> str:
    return value.strip()


def switch(value: str) -> bool:
    """`on` or `off` (also 1/0, true/false, yes/no)."""
    return SWITCH[value.strip().lower()]


def auto_switch(value: str) -> bool | None:
    """As `switch`, but empty means: decided by SETTLED_ENV."""
    return switch(value) if value.strip() else None


def web_address(value: str) -> str:
    """An http(s) address without a trailing slash, or empty."""
    value = value.strip().rstrip("/")
    if value and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
        raise ValueError("not an http or https address")
    return value


def log_level(value: str) -> str:
    """Name of a log level: debug, info, warning or error, in either case."""
    level = value.strip().lower()
    if level not in ("debug", "info", "warning", "error"):
        raise ValueError("not a level")
    return level


def log_format(value: str) -> str:
    """`json` or `text`."""
    if value.strip() not in ("json", "text"):
        raise ValueError("neither json nor text")
    return value.strip()


def origins(value: str) -> tuple[str, ...]:
    """Comma list of origins (`scheme://host[:port]`)."""
    return tuple(web_address(part) for part in value.split(",") if part.strip())


def positive(value: str) -> float:
    number = float(value)
    if not 0 <= number < 1e9:
        raise ValueError("not a positive number")
    return number


def pool_size(value: str) -> int:
    """A whole number of at least 2: a migration needs a second connection beside the one that holds its lock."""
    number = int(value)
    if number < 2:
        raise ValueError("less than 2")
    return number


def hops(value: str) -> int:
    """The number of trusted proxies."""
    number = int(value)
    if number < 0:
        raise ValueError("less than 0")
    return number


def rate(value: str) -> RateLimitItem | None:
    """A limit such as `600/second`, or None when empty."""
    return parse(value) if value.strip() else None


def environment_name(value: str) -> str:
    """`development` or `production`."""
    if value.strip() not in ("development", "production"):
        raise ValueError("only development or production")
    return value.strip()


def names(value: str) -> tuple[str, ...]:
    """Comma list of names; empty ones are ignored."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


@dataclass(frozen=True)
class Row:
    """A setting: its name, its default as text, its parser, and its meaning.

    The default of a `secret` is the public demo value: it is used in development only, and only when the setting is
    absent.
    `same_as` names the shop's setting that holds the same value, for an environment that both share; of a comma list
    its
    first part. `path` is appended if it is an address.
    """

    name: str
    default: str
    read: Callable[[str], Any]
    meaning: str
    secret: bool = False
    same_as: str = ""
    path: str = ""


ROWS: tuple[Row, ...] = (
    Row(
        "SETTLED_ENV",
        "production",
        environment_name,
        "production, or development. Production does not start with a secret that is empty, published or too short.",
    ),
    Row(
        "PROVIDERS",
        "",
        names,
        "Comma list of the dialects that are served, by their names; the shop's setting as well. Empty: all.",
    ),
    Row("ACQUIRER_PORT", "9000", int, "Port of the acquirer when it runs on its own."),
    Row(
        "ACQUIRER_DATABASE_URL",
        f"sqlite:///{ROOT / 'var' / 'acquirer.db'}",
        text,
        "The acquirer's own database: SQLite under var/ by default, or PostgreSQL.",
    ),
    Row(
        "ACQUIRER_DATABASE_POOL_SIZE", "5", pool_size, "PostgreSQL connections that a process of the acquirer may open."
    ),
    Row(
        "ACQUIRER_DATABASE_PREPARED_STATEMENTS",
        "on",
        switch,
        "off behind PgBouncer in transaction mode: no prepared statements.",
    ),
    Row(
        "ACQUIRER_PUBLIC_URL",
        "http://localhost:9000",
        web_address,
        "Address under which browsers reach the acquirer, mount prefix included; checkout links start with it.",
    ),
    Row(
        "ACQUIRER_TRUSTED_HOSTS",
        "",
        names,
        "Comma list of accepted host names. Empty: the host of ACQUIRER_PUBLIC_URL, the machine's own name, "
        "localhost and 127.0.0.1.",
    ),
    Row(
        "ACQUIRER_PROXY_HOPS",
        "0",
        hops,
        "How many trusted proxies stand in front of the acquirer and set X-Forwarded headers.",
    ),
    Row("ACQUIRER_SECRET_KEY", "", text, "Signs the cookie `acq`. Empty: derived from SECRET_KEY."),
    Row(
        "SECRET_KEY",
        "",
        text,
        "Used when ACQUIRER_SECRET_KEY is empty. One of them must be set in production.",
    ),
    Row(
        "SECRET_KEY_FALLBACKS",
        "",
        names,
        "Comma list of former keys, the newest first: cookies that they signed are still read.",
    ),
    Row(
        "ACQUIRER_CONTROL",
        "",
        auto_switch,
        "on or off: the control API, the simulation panel and the logs. Empty: on, but off in production.",
    ),
    Row("ACQUIRER_CONTROL_TOKEN", "sim_demo", text, "Bearer token of the control API `/_sim`.", secret=True),
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
        "Requests per client address and process; beyond it 429 with Retry-After. Empty: no limit.",
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
    Row(
        "ACQUIRER_LOG_LEVEL",
        "info",
        log_level,
        "Lowest level that is logged: `debug`, `info`, `warning` or `error`. `bin/run` sets `warning`, and with "
        "`--verbose` it sets `info`.",
    ),
    Row("ACQUIRER_LOG_FORMAT", "json", log_format, "`json`, or `text` as `bin/run` sets it."),
    Row("REDIS_URL", "", text, "Redis for the RQ queue `acquirer`. Empty, or away: the delivery loop sends by itself."),
    Row("REDIS_TLS_INSECURE", "off", switch, "on: take Redis over rediss:// with a self-signed certificate (Heroku)."),
    Row(
        "SSL_CERT_FILE",
        "",
        text,
        "File of the certificate authorities that receivers of webhooks are checked against. Empty: the public ones.",
    ),
    Row("SSL_CERT_DIR", "", text, "Folder of such authorities (as `c_rehash` makes it), when SSL_CERT_FILE is empty."),
    Row(
        "SHOP_CLOCK_URL",
        "",
        web_address,
        "Address of the shop's development clock; turned together with the clock of the default run.",
    ),
)


def environment() -> dict[str, str]:
    """`var/env` as written by the runner (KEY=VALUE lines), overridden by the process environment; in production the
    process
    environment alone.
    """
    found: dict[str, str] = {}
    written = ROOT / "var" / "env"
    if os.environ.get("SETTLED_ENV") != "production" and written.is_file():
        for line in written.read_text(encoding="utf-8").splitlines():
            name, equals, value = line.partition("=")
            if equals and not name.lstrip().startswith("#"):
                found[name.strip()] = value.strip()
    return found | dict(os.environ)


def load(rows: Iterable[Row], given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read every row. `given` overrides the environment; with it, `var/env` is not read.

    Raises BadSetting, naming the setting, when a value cannot be read.
    """
    source: dict[str, Any] = environment() if given is None else dict(os.environ) | dict(given)
    values: dict[str, Any] = {}
    demo = str(source.get("SETTLED_ENV", "")).strip() == "development"
    for row in rows:
        raw = _given(row, source, demo)
        try:
            values[row.name] = row.read(raw) if isinstance(raw, str) else raw
        except (KeyError, ValueError) as wrong:
            shown = "what it is" if row.secret else repr(raw)
            raise BadSetting(f"{row.name} cannot be {shown}. {row.meaning}") from wrong
    if values["ACQUIRER_CONTROL"] is None:
        values["ACQUIRER_CONTROL"] = values["SETTLED_ENV"] == "development"
    return values


def _given(row: Row, source: Mapping[str, Any], demo: bool) -> Any:
    """The setting's text before parsing."""
    if row.name in source:
        return source[row.name]
    if row.same_as and (shared := names(str(source.get(row.same_as) or ""))):
        return shared[0].rstrip("/") + row.path if row.path else shared[0]
    return "" if row.secret and not demo else row.default


def check(values: Mapping[str, Any], rows: Iterable[Row], served: Iterable[Row]) -> None:
    """Raise BadSetting with one sentence that names every setting that prevents the start, never a value. `rows` are
    all
    settings, `served` those of the served dialects.
    """
    keys = [row.name for row in served if row.secret]
    wrong = [f"{name} is empty" for name in keys if not values[name]]
    if values["SETTLED_ENV"] != "development":
        published = {row.default for row in rows if row.secret}
        wrong += [f"{name} is one that is published in our documentation" for name in keys if values[name] in published]
        wrong += _too_open(values)
    if wrong:
        raise BadSetting(f"The acquirer does not start ({values['SETTLED_ENV']}): {'; '.join(wrong)}.")


def _too_open(values: Mapping[str, Any]) -> list[str]:
    """Sentences about settings that are unsafe in production."""
    wrong = []
    key = values["ACQUIRER_SECRET_KEY"] or values["SECRET_KEY"]
    if any(len(former) < SHORTEST_SECRET for former in values["SECRET_KEY_FALLBACKS"]):
        wrong.append(f"SECRET_KEY_FALLBACKS has a key that is shorter than {SHORTEST_SECRET} characters")
    if len(key) < SHORTEST_SECRET:
        wrong.append(f"ACQUIRER_SECRET_KEY (or SECRET_KEY) is shorter than {SHORTEST_SECRET} characters")
    if values["ACQUIRER_CONTROL"] and len(values["ACQUIRER_CONTROL_TOKEN"]) < SHORTEST_SECRET:
        wrong.append(f"ACQUIRER_CONTROL is on and ACQUIRER_CONTROL_TOKEN is shorter than {SHORTEST_SECRET} characters")
    address = urlsplit(values["ACQUIRER_PUBLIC_URL"])
    if address.scheme != "https" and address.hostname not in ("localhost", "127.0.0.1", "::1"):
        wrong.append("ACQUIRER_PUBLIC_URL is not https, and not localhost")
    return wrong
