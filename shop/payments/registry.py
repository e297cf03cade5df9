"""The providers of this shop: every module in `providers/` that defines PROVIDER, found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass

from flask import Flask, current_app

from shop import settings
from shop.core import http
from shop.payments import providers
from shop.payments.provider import PaymentProvider


@dataclass(frozen=True)
class Method:
    """A way to pay, as the checkout names it; `action` is the kind of what the buyer does next."""

    provider: str
    name: str
    action: str = "redirect"


def classes() -> dict[str, type[PaymentProvider]]:
    """All providers by name."""
    modules = (
        importlib.import_module(f"{providers.__name__}.{m.name}") for m in pkgutil.iter_modules(providers.__path__)
    )
    found = [module.PROVIDER for module in modules if hasattr(module, "PROVIDER")]
    return {cls.NAME: cls for cls in sorted(found, key=lambda cls: cls.NAME)}


def init_app(app: Flask, environ: dict[str, str]) -> None:
    """Make one instance of each provider. Raises BadSetting."""
    found: dict[str, PaymentProvider] = {}
    for name, cls in classes().items():
        app.config.update({k: v for k, v in settings.read(cls.SETTINGS, environ).items() if k not in app.config})
        found[name] = cls(app.config, http.client)
    app.extensions["settled_providers"] = found


def all_providers() -> dict[str, PaymentProvider]:
    """The running instances by name."""
    found: dict[str, PaymentProvider] = current_app.extensions["settled_providers"]
    return found


def page_origins(app: Flask) -> list[str]:
    """Every origin to which one of the providers sends browsers."""
    found: dict[str, PaymentProvider] = app.extensions["settled_providers"]
    return sorted({origin for provider in found.values() for origin in provider.page_origins()})


def get(name: str) -> PaymentProvider | None:
    """The provider of that name, if there is one."""
    return all_providers().get(name)


def label(name: str) -> str:
    """How people call it."""
    provider = get(name)
    return provider.LABEL if provider else name


def methods(currency: str) -> list[Method]:
    """The ways to pay in `currency`."""
    return [
        Method(p.NAME, p.LABEL, p.capabilities.action)
        for p in all_providers().values()
        if currency in p.capabilities.currencies
    ]
