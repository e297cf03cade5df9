"""Registry of providers: every module in `providers/` that defines PROVIDER."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass

from flask import Flask, current_app

from shop import production, settings
from shop.core import http_client
from shop.core.money import Money
from shop.payments import providers
from shop.payments.providers.charging import Charging, reason
from shop.payments.providers.charging import refusal as cannot_charge
from shop.payments.providers.interface import PaymentProvider


@dataclass(frozen=True)
class Method:
    """A payment method: `name` is its provider's, `action` the kind of the customer's next action. `pays_by` says what
    customers pay with there, `card` or `card or store`; it is empty if they know the method by the provider's name.
    """

    provider: str
    name: str
    action: str = "redirect"
    pays_by: str = ""


def classes() -> dict[str, type[PaymentProvider]]:
    """All providers by name."""
    modules = (
        importlib.import_module(f"{providers.__name__}.{m.name}") for m in pkgutil.iter_modules(providers.__path__)
    )
    found = [module.PROVIDER for module in modules if hasattr(module, "PROVIDER")]
    return {cls.NAME: cls for cls in sorted(found, key=lambda cls: cls.NAME)}


def init_app(app: Flask, environ: dict[str, str]) -> None:
    """Make one instance of each provider that PROVIDERS names. Raises BadSetting, also for settings that production
    requires.
    """
    known = classes()
    for cls in known.values():
        app.config.update({k: v for k, v in settings.read(cls.SETTINGS, environ).items() if k not in app.config})
    in_production = app.config["SETTLED_ENV"] != settings.DEVELOPMENT
    names = production.enabled(app.config["PROVIDERS"], known, production=in_production)
    rows = {name: cls.SETTINGS for name, cls in known.items()}
    production.check(app.config, settings.SETTINGS, rows, names)
    app.extensions["settled_providers"] = {name: known[name](app.config, http_client.client) for name in names}


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


def is_mocked(name: str) -> bool:
    """True if the mock acquirer stands in for this provider, so that its control API may be called."""
    return bool(current_app.config.get(f"{name.upper()}_MOCKED", False))


def is_page(name: str, address: object) -> bool:
    """True if a browser may be redirected to a URL from the provider of that name."""
    provider = get(name)
    return provider is not None and provider.is_page(address)


def label(name: str) -> str:
    """Display name."""
    provider = get(name)
    return provider.LABEL if provider else name


def dispute_page(name: str, dispute_id: str) -> str:
    """URL of a dispute in the dashboard of the acquirer; empty if it has none."""
    provider = get(name)
    return provider.dispute_page(dispute_id) if provider else ""


def methods(currency: str) -> list[Method]:
    """The payment methods for `currency`."""
    return [
        Method(p.NAME, p.LABEL, p.capabilities.action, p.capabilities.pays_by)
        for p in all_providers().values()
        if currency in p.capabilities.currencies
    ]


def takes(name: str, money: Money) -> bool:
    """True if the provider of that name can charge an amount; always for zero."""
    provider = get(name)
    return provider is None or money.amount == 0 or provider.capabilities.takes(money)


def reason_not_offered(name: str, money: Money) -> str:
    """Message for the customer if the provider of that name cannot charge an amount; empty if it can."""
    provider = get(name)
    return reason(Charging(provider.LABEL, provider.capabilities), money) if provider else ""


def charging(currency: str) -> dict[str, Charging]:
    """For each provider that takes `currency`, the amounts that it can charge."""
    return {
        name: Charging(provider.LABEL, provider.capabilities)
        for name, provider in all_providers().items()
        if currency in provider.capabilities.currencies
    }


def refuse_unless_chargeable(name: str, money: Money) -> None:
    """Raises Refusal `cannot_charge` when the provider cannot charge an amount; zero is always accepted."""
    provider = get(name)
    refusal = cannot_charge(Charging(provider.LABEL, provider.capabilities), money) if provider else None
    if refusal:
        raise refusal
