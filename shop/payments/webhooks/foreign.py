"""Events about other merchants and systems that use the same account at an acquirer."""

from __future__ import annotations

from shop.payments.providers import registry
from shop.payments.providers.interface import WebhookEvent


def is_foreign(provider_name: str, event: WebhookEvent) -> bool:
    """True if an event is about another merchant, or about a payment whose id is none of ours."""
    return is_of_another_merchant(provider_name, event) or bool(event.reference and not event.is_ours)


def is_of_another_merchant(provider_name: str, event: WebhookEvent) -> bool:
    """True if an event names a merchant who is not the one of the provider's settings."""
    provider = registry.get(provider_name)
    return bool(provider and provider.MERCHANT and event.merchant and event.merchant != provider.MERCHANT)
