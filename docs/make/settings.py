"""docs/settings.md: every setting of both worlds, from the tables that the code reads."""

from __future__ import annotations

from collections.abc import Iterable

import mock_acquirer
from docs.make.code import ROOT
from docs.make.text import GENERATED, table
from shop import settings
from shop.payments import registry

_INTRO = """
Settings come from the environment. What `bin/run` has decided lies in `var/env` (`KEY=VALUE` lines); the processes and
the Flask commands read that file too, and the environment wins over it. A value that cannot be used ends the start with
a sentence that names the setting. Secret values are never shown.

Kinds: text, whole number, number, switch (true/false, on/off, yes/no, 1/0).
"""
_RUNNER = (
    ("BIND_ADDRESS", "0.0.0.0 (bin/run: 127.0.0.1)", "Address on which the servers listen."),
    ("WEB_CONCURRENCY", "1", "Processes of the shop's web server, each with a gevent loop."),
    ("ACQUIRER_WEB_THREADS", "32", "Threads of the acquirer's web server."),
    ("GUNICORN_LOG_LEVEL", "warning", "Log level of the web servers themselves."),
    ("PROMETHEUS_MULTIPROC_DIR", "", "Folder through which all processes of the shop share their metrics."),
)
"""Read by the servers' own files in deploy/, before there is an app."""
_KINDS = {str: "text", int: "whole number", float: "number", bool: "switch"}


def page() -> str:
    """The text of docs/settings.md."""
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
    """A default as it would be written; the project's own folder is left out, because it differs."""
    text = text.replace(f"{ROOT}/", "")
    return f"`{text}`" if text else "(empty)"
