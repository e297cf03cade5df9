"""Settings of the shop: name, default and meaning. `docs/settings.md` is generated from this table.

A payment provider declares its own rows in its own file (see `shop.payments.providers.interface`), so that adding one
edits nothing here.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from shop.api_settings import API_SETTINGS, DEVELOPMENT_TOKEN_KEY
from shop.media_settings import MEDIA_SETTINGS
from shop.period_settings import PERIODS
from shop.setting_kinds import (
    WORDS,
    ChatWebhook,
    CurrencyAmounts,
    LogLevel,
    Mailboxes,
    MailSender,
    MailServer,
    Ports,
    TimeZone,
    is_known_database,
    is_redis,
)
from shop.setting_kinds import Setting as Setting
from shop.setting_kinds import WebAddress as WebAddress
from shop.sign_in_settings import SIGN_IN

ROOT = Path(__file__).resolve().parent.parent
DEVELOPMENT, PRODUCTION = "development", "production"
DEVELOPMENT_KEY = "development-only-" + "0" * 32
"""SECRET_KEY of a development environment that has none; it is public."""
MOCKED = (
    "on: the mock acquirer at ACQUIRER_URL serves it. `flask check` compares with the totals of its control API, and "
    "`flask reconcile` fetches files there that the provider has no call for; both send CONTROL_TOKEN."
)
"""Meaning of the setting `<NAME>_MOCKED` of each provider; without it the token is sent nowhere."""


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "SETTLED_ENV",
        PRODUCTION,
        "`production`, or `development` (`bin/run` and the tests set it). Production does not start with a secret that "
        "is empty, published or too short, nor on http; development has `/dev/clock`.",
    ),
    Setting(
        "SETTLED_PASSIVE",
        "off",
        "`on`: a restored copy that must not act. It changes nothing, calls no acquirer, applies no webhook, and its "
        "worker and clock do no work.",
        bool,
    ),
    Setting(
        "SECRET_KEY",
        "",
        "Signs the cookie and links, and seals the audit log; at least 32 random characters. Made by `bin/run` on the "
        "first start.",
        secret=True,
    ),
    Setting(
        "SECRET_KEY_FALLBACKS",
        "",
        "Former values of SECRET_KEY, separated by commas, the newest first. Their signatures stay valid.",
        secret=True,
    ),
    Setting(
        "PROVIDERS",
        "",
        "Comma-separated names of the providers that take payments, such as `kpay,stripe`. Empty: all in development; "
        "production has to name them.",
    ),
    Setting("PORT", "8000", "Port of the shop.", int, least=1),
    Setting(
        "SHOP_URL",
        "http://localhost:8000",
        "Address under which customers and acquirers reach the shop; https in production, except for localhost.",
        WebAddress,
    ),
    Setting(
        "SELLER_NAME",
        "",
        "Legal name of the seller, until it is set in the console; empty: none (development: a demo).",
    ),
    Setting(
        "SELLER_ADDRESS", "", "Address of the seller in one line, until it is set in the console; empty: not shown."
    ),
    Setting("SELLER_TAX_ID", "", "Tax number of the seller, until it is set in the console; empty: not shown."),
    Setting(
        "SELLER_EMAIL",
        "",
        "Address to which customers write for help, until it is set in the console; empty: not shown.",
    ),
    Setting("SHOP_TIME_ZONE", "UTC", "Zone of the dates and years of receipts, such as `Asia/Taipei`.", TimeZone),
    Setting("DOCUMENT_FONTS_DIR", "/usr/share/fonts", "Folder of fonts for PDFs (Debian package `fonts-noto-cjk`)."),
    Setting(
        "ACQUIRER_URL",
        "http://127.0.0.1:9000",
        "Base address for calls from the shop to the acquirers that are mocked.",
        WebAddress,
    ),
    Setting(
        "ACQUIRER_PUBLIC_URL",
        "http://localhost:9000",
        "Origin of the acquirer's pages; the content-security policy names it.",
        WebAddress,
    ),
    Setting("DATABASE_URL", "sqlite:///var/shop.db", "SQLite or PostgreSQL (`postgres://` is accepted).", secret=True),
    Setting(
        "DATABASE_POOL_SIZE",
        "5",
        "PostgreSQL connections that a process keeps open; see the "
        "[connection budget](../deploy/README.md#database-connections).",
        int,
        least=2,
    ),
    Setting("DATABASE_POOL_OVERFLOW", "0", "Connections that a process may open beyond DATABASE_POOL_SIZE.", int),
    Setting(
        "DATABASE_POOL_TIMEOUT",
        "10",
        "Seconds that a request waits for a free connection of its process; then it gets 503.",
        float,
    ),
    Setting(
        "DATABASE_PREPARED_STATEMENTS",
        "true",
        "`false` behind PgBouncer in transaction mode: no prepared statements, and timeouts are set per transaction.",
        bool,
    ),
    Setting(
        "DATABASE_LOCK_TIMEOUT",
        "3",
        "Seconds that a statement waits for a lock of PostgreSQL; then the request gets 503. 0: no limit.",
        float,
    ),
    Setting(
        "DATABASE_STATEMENT_TIMEOUT",
        "30",
        "Seconds that a statement may take on PostgreSQL. Migrations and `flask check` have no limit. 0: none.",
        float,
    ),
    Setting(
        "REDIS_URL",
        "",
        "Redis for queues, sign-ins and live updates. Empty: the shop runs without Redis.",
        secret=True,
    ),
    Setting("REDIS_TLS_INSECURE", "false", "Accept a self-signed certificate on `rediss://` (Heroku).", bool),
    Setting(
        "TRUSTED_HOSTS",
        "",
        "Comma-separated host names that the shop accepts; empty: the host of SHOP_URL, localhost and 127.0.0.1.",
    ),
    Setting("PROXY_HOPS", "0", "Number of trusted proxies in front of the shop that set X-Forwarded headers.", int),
    Setting(
        "PAY_WITHIN", "1800", "Seconds in which an order can be paid; its stock is reserved that long.", int, least=1
    ),
    Setting(
        "PAY_WITHIN_STORE",
        "259200",
        "Maximum of seconds that an order waits for the payment of a store payment code.",
        int,
        least=1,
    ),
    Setting(
        "PAY_WITHIN_STORE_LARGE",
        "21600",
        "Maximum of seconds that an order waits for the payment of a store payment code, if unpaid codes hold a large "
        "share of the stock of one of its products.",
        int,
        least=1,
    ),
    Setting(
        "STORE_CODE_SHARE",
        "25",
        "Per cent of a product's stock that unpaid store payment codes may hold for PAY_WITHIN_STORE.",
        int,
        least=1,
    ),
    Setting(
        "UNPAID_ORDERS_PER_VISITOR", "5", "Unpaid orders that one visitor or customer may have at a time.", int, least=1
    ),
    Setting(
        "UNPAID_UNITS_PER_VISITOR", "250", "Units that the unpaid orders of one visitor may reserve.", int, least=1
    ),
    Setting(
        "UNPAID_VALUE_PER_VISITOR",
        "TWD=50000000,JPY=2500000,USD=1600000",
        "Total of the unpaid orders of one visitor, in minor units by currency. A currency without an entry has none.",
        CurrencyAmounts,
    ),
    Setting(
        "UNPAID_EMAIL_FACTOR",
        "2",
        "Limit of one e-mail address, over all visitors, as a multiple of the limits of one visitor.",
        int,
        least=1,
    ),
    Setting(
        "UNPAID_ADDRESS_FACTOR",
        "10",
        "Limit of one client address (IPv6: one /64 network), which may be a whole office, as a multiple of the limits "
        "of one visitor. While it is reached, others at that address wait until orders are paid, cancelled or "
        "expired; signed-in customers who have paid before do not. Raise it for large shared networks. Behind a "
        "proxy, PROXY_HOPS must be right, or all customers have the proxy's address.",
        int,
        least=1,
    ),
    Setting(
        "REFUND_NEEDS_TWO",
        "TWD=1000000,JPY=50000,USD=30000",
        "Amount of an order that one person may refund, or accept less than its price, in minor units by currency. "
        "More needs a second person, and so does every amount in a currency without an entry.",
        CurrencyAmounts,
    ),
    Setting("CLI_DECISIONS", "off", "`on`: commands that decide about money work in production, with `--by`.", bool),
    *SIGN_IN,
    Setting(
        "ALERT_CONFIRM_SECONDS",
        "30",
        "Seconds that a reported capture may take to make its order PAID, before Rule A raises an alert.",
        int,
    ),
    Setting("CALLS_PER_SECOND", "100", "Maximum of calls per second to each provider.", int, least=1),
    Setting("PAYMENTS_PER_ORDER", "10", "Maximum of payments that are initiated for one order.", int, least=1),
    Setting("CONNECT_TIMEOUT", "1", "Seconds to wait for a connection to a provider.", float, least=0.001),
    Setting("READ_TIMEOUT", "5", "Seconds to wait for the next bytes of a provider's response.", float, least=0.001),
    Setting(
        "CALL_SECONDS",
        "8",
        "Seconds that one operation at a provider may take, up to the last byte of its last response.",
        float,
        least=0.001,
    ),
    Setting(
        "CONTROL_TOKEN",
        "sim_demo",
        "Bearer token that may advance the clock in development (`POST /dev/clock`). Empty: no access.",
        secret=True,
    ),
    Setting(
        "METRICS_TOKEN",
        "",
        "Bearer token for `/metrics` and details of `/readyz`. Empty: free access in development, none in production.",
        secret=True,
    ),
    Setting(
        "STREAMS_PER_ADDRESS",
        "100",
        "Live pages of one client address (IPv6: its /64 network) in one web process. Others poll every 20 seconds.",
        int,
        least=1,
    ),
    Setting("CONSOLE_SOCKETS", "500", "WebSockets of the page Live that one web process serves.", int, least=1),
    Setting(
        "CONSOLE_SOCKETS_PER_PERSON",
        "250",
        "WebSockets of the page Live that one person may have open in one web process.",
        int,
        least=1,
    ),
    Setting("STREAMS_PER_ORDER", "50", "Live pages of one order that one web process serves.", int, least=1),
    Setting(
        "MAIL_URL",
        "",
        "SMTP server: `smtp://user:password@host:587/?starttls=1` or `smtps://…`; `timeout=10` are the seconds for "
        "each reply. Production needs TLS, unless the host is local or `plain=1` is set. Empty: no mail leaves the "
        "machine; development shows it at `/dev/mail`, production marks it as failed, for `flask mail retry`.",
        MailServer,
        secret=True,
    ),
    Setting(
        "MAIL_FROM", "", "Sender, as in `Settled <orders@example.com>`; empty: orders@ SHOP_URL's host.", MailSender
    ),
    Setting("ALERT_MAIL_TO", "", "Addresses that get alerts, by commas; empty: staff of finance and admin.", Mailboxes),
    Setting("ALERT_WEBHOOK_URL", "", "Chat webhook that gets alerts as Slack's JSON.", ChatWebhook, secret=True),
    Setting("WEBHOOK_PORTS", "443,8443", "Ports that endpoints of outgoing webhooks may have in production.", Ports),
    Setting("APPROVAL_WAITS_HOURS", "4", "Hours of a request without its second person before an alert.", int, least=1),
    Setting("DISPUTE_DUE_HOURS", "72", "Hours before a dispute's answer date for an alert.", int, least=1),
    Setting("STUCK_WAITS_HOURS", "1", "Hours of a new alert on failed tasks or refunds before messages.", int, least=1),
    Setting("UNMATCHED_WAITS_HOURS", "24", "The same for settlement differences.", int, least=1),
    Setting(
        "SECURITY_CONTACT",
        "",
        "Contacts for reports of vulnerabilities: e-mail or https addresses, separated by commas; empty: no "
        "`/.well-known/security.txt`.",
    ),
    Setting("LOG_FORMAT", "", "`json` or `text`; empty: json in production, text in development."),
    Setting(
        "LOG_LEVEL",
        "info",
        "Lowest level in the log: `debug`, `info`, `warning`, `error`; `bin/run` sets `warning`, or `info` if verbose.",
        LogLevel,
    ),
    Setting("ACQUIRER_MOUNT", "false", "Serve the mock acquirer under `/acquirer` of the shop's own port.", bool),
    Setting(
        "SETTLEMENT_FETCH",
        "true",
        "The clock fetches yesterday's settlement files once a day. `false`: finance uploads them in the console.",
        bool,
    ),
    Setting("HEARTBEAT_FILE", "", "File that `worker` and `clock` touch while they work, for liveness probes."),
    *API_SETTINGS,
    *MEDIA_SETTINGS,
    *PERIODS,
    Setting("SEED_STOCK", "1", "Multiplies the stock of the seeded catalogue (load tests).", int, least=1),
)


class BadSetting(ValueError):
    """A setting has an unusable value. The message names the setting and a right value; never the value of a secret."""


def read(rows: Iterable[Setting], environ: Mapping[str, str]) -> dict[str, Any]:
    """The values of `rows` from `environ`, converted. A published secret is the default in development only, and an
    empty value never stands for it. Raises BadSetting.
    """
    values: dict[str, Any] = {}
    demo = is_development(environ)
    for row in rows:
        text = environ.get(row.name, "").strip()
        if not text and not (row.published and (row.name in environ or not demo)):
            text = row.default
        try:
            values[row.name] = _convert(text, row)
        except ValueError as error:
            shown = "its value" if row.secret else repr(text)
            raise BadSetting(f"{row.name}: {shown} is not {_in_words(row)}.") from error
    return values


def is_development(environ: Mapping[str, str]) -> bool:
    """True if `environ` says development explicitly; otherwise it is production."""
    return environ.get("SETTLED_ENV", "").strip() == DEVELOPMENT


def several(text: str) -> list[str]:
    """The values of a comma-separated list. An empty value is dropped: "key," is one key."""
    return [part for part in (part.strip() for part in text.split(",")) if part]


_BOOLS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def _convert(text: str, row: Setting) -> Any:
    if row.kind is bool:
        if text.lower() not in _BOOLS:
            raise ValueError(text)
        return _BOOLS[text.lower()]
    value = row.kind(text)
    if isinstance(value, int | float) and not (row.least <= value and math.isfinite(value)):
        raise ValueError(text)
    return value


def _in_words(row: Setting) -> str:
    """A description of right values."""
    words = WORDS[row.kind]
    return f"{words} of at least {row.least:g}" if row.kind in (int, float) else words


def environment(path: Path = ROOT / "var" / "env") -> dict[str, str]:
    """The process environment over the values that `bin/run` wrote to `var/env`, so that a plain shell finds the
    running demo. A process in production uses its own environment alone.
    """
    values: dict[str, str] = {}
    if os.environ.get("SETTLED_ENV") != PRODUCTION and path.exists():
        for line in path.read_text().splitlines():
            match = re.match(r"([A-Z][A-Z0-9_]*)=(.*)$", line.strip())
            if match:
                values[match[1]] = match[2].strip().strip("\"'")
    return {**values, **os.environ}


def load(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """All settings of the shop except those of its providers. Raises BadSetting for an unusable one; the additional
    demands of production are checked by `shop.production`.
    """
    values = read(SETTINGS, environment() if environ is None else environ)
    if values["SETTLED_ENV"] not in (DEVELOPMENT, PRODUCTION):
        raise BadSetting("SETTLED_ENV: only development or production.")
    if values["SETTLED_ENV"] == DEVELOPMENT:
        keys = {"SECRET_KEY": DEVELOPMENT_KEY, "API_TOKEN_KEY": DEVELOPMENT_TOKEN_KEY}
        values |= {name: key for name, key in keys.items() if not values[name]}
    values["SECRET_KEY_FALLBACKS"] = several(values["SECRET_KEY_FALLBACKS"])
    values["DATABASE_URL"] = database_url(values["DATABASE_URL"])
    if not is_known_database(values["DATABASE_URL"]):
        raise BadSetting(
            "DATABASE_URL: its value is not an address of PostgreSQL or SQLite, such as "
            "postgresql://user:password@host/name or sqlite:///var/shop.db."
        )
    if values["OIDC_ISSUER"] and not (values["OIDC_CLIENT_ID"] or values["OIDC_AUDIENCE"]):
        raise BadSetting("OIDC_ISSUER: it needs OIDC_CLIENT_ID, OIDC_AUDIENCE or both.")
    if not is_redis(values["REDIS_URL"]):
        raise BadSetting(
            "REDIS_URL: its value is not an address of Redis, such as redis://:password@host:6379/0. "
            "A / in a password is written as %2F."
        )
    return values


def database_url(url: str) -> str:
    """The database address as SQLAlchemy spells it; Heroku writes `postgres://`, and relative SQLite paths start at the
    project folder.
    """
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    relative = re.match(r"sqlite:///(?!/)(.+)$", url)
    if relative and relative[1] != ":memory:":
        return f"sqlite:///{ROOT / relative[1]}"
    return url
