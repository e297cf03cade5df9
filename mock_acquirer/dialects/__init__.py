"""Dialects: wire formats of one engine. A new dialect is one module here with a `DIALECT`; no other file changes."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection

from flask import Flask

from mock_acquirer.dialect_interface import Dialect


def discover() -> dict[str, Dialect]:
    """All dialects in this folder, by name."""
    found: dict[str, Dialect] = {}
    for module in pkgutil.iter_modules(__path__):
        dialect = getattr(importlib.import_module(f"{__name__}.{module.name}"), "DIALECT", None)
        if isinstance(dialect, Dialect):
            found[dialect.name] = dialect
    return found


def served(named: Collection[str]) -> dict[str, Dialect]:
    """The dialects with these names, by default all. A name without a dialect is a real provider."""
    return {name: dialect for name, dialect in discover().items() if name in named or not named}


def install(app: Flask, found: dict[str, Dialect]) -> None:
    """Register the dialects and their routes on the app."""
    app.extensions["acquirer.dialects"] = found
    for dialect in found.values():
        app.register_blueprint(dialect.blueprint)
