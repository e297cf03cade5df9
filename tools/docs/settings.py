"""docs/settings.md: every setting of the shop and the acquirer, from the tables that the code reads."""

from __future__ import annotations

from collections.abc import Iterable

import mock_acquirer
from shop import setting_kinds, settings
from shop.payments.providers import registry
from tools.docs.code import ROOT
from tools.docs.text import GENERATED, table

_INTRO = """
Settings come from the environment. `bin/run` writes the settings of its run to `var/env` (`KEY=VALUE` lines); processes
and Flask commands read that file too, and the environment takes precedence. An invalid value ends the start with a
message that names the setting. Secret values are never displayed.

Kinds: text, whole number, number, switch (true/false, on/off, yes/no, 1/0), amounts by currency (minor units, as in
`TWD=20000000,USD=700000`).
"""
_RUNNER = (
    ("BIND_ADDRESS", "0.0.0.0 (bin/run: 127.0.0.1)", "Address on which the servers listen."),
    ("WEB_CONCURRENCY", "1", "Processes of the shop's web server, each with a gevent loop."),
    (
        "WORKER_CONNECTIONS",
        "6000",
        "Connections of one web process. Streams use at most 60 % of them, incomplete requests 25 %.",
    ),
    ("REQUEST_SECONDS", "10", "Seconds in which head and body of a request must arrive; then 408."),
    ("ACQUIRER_WEB_THREADS", "32", "Threads of the acquirer's web server."),
    ("GUNICORN_LOG_LEVEL", "warning", "Log level of the web servers themselves."),
    ("PROMETHEUS_MULTIPROC_DIR", "", "Folder in which all processes of the shop on one machine share their metrics."),
)
"""Settings that the server configuration in deploy/ reads before an app exists."""
_KINDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "switch",
    setting_kinds.WebAddress: "address",
    setting_kinds.LogLevel: "level",
    setting_kinds.ChatWebhook: "https address",
    setting_kinds.CurrencyAmounts: "amounts by currency",
    setting_kinds.MediaAddress: "path or https address",
    setting_kinds.MailServer: "mail server",
    setting_kinds.MailSender: "mailbox",
    setting_kinds.Mailboxes: "mailboxes",
    setting_kinds.Ports: "ports",
    setting_kinds.WebOrigins: "origins",
    setting_kinds.SecondFactorRule: "`required` or `optional`",
    setting_kinds.OnOrOff: "`on` or `off`",
    setting_kinds.TimeZone: "time zone",
    setting_kinds.WebOrigins: "origins",
    setting_kinds.FirebaseProject: "project id",
}


def page() -> str:
    """Return the text of docs/settings.md."""
    parts = [GENERATED, "# Settings", _INTRO.strip(), "## The shop", _shop(settings.SETTINGS)]
    for name, cls in registry.classes().items():
        parts += [f"## The provider {name}", _shop(cls.SETTINGS)]
    parts += ["## The mock acquirer", _acquirer()]
    rows = [(f"`{name}`", _default(default), meaning) for name, default, meaning in _RUNNER]
    parts += ["## The servers", table(("Name", "Default", "Meaning"), rows)]
    return "\n\n".join(parts) + "\n"


def _shop(rows: Iterable[settings.Setting]) -> str:
    return table(
        ("Name", "Kind", "Default", "Meaning"),
        [
            (f"`{row.name}`", _KINDS[row.kind] + (", secret" if row.secret else ""), _default(row.default), row.meaning)
            for row in rows
        ],
    )


def _acquirer() -> str:
    rows = [(f"`{row.name}`", _default(row.default), row.meaning) for row in mock_acquirer.setting_rows()]
    return table(("Name", "Default", "Meaning"), rows)


def _default(text: str) -> str:
    """Format a default, without the project's folder, which differs between machines."""
    text = text.replace(f"{ROOT}/", "")
    return f"`{text}`" if text else "(empty)"
