"""Input of order placing: customer and completed form. No database."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from shop.checkout import agreement
from shop.pricing.decide import Choices


@dataclass(frozen=True)
class Customer:
    """Contact and delivery address. `user_id` is None for guests."""

    email: str
    name: str
    line1: str
    city: str
    country: str
    line2: str = ""
    region: str = ""
    postcode: str = ""
    phone: str = ""
    user_id: int | None = None
    locale: str = "en"


_LEFT_OUT = ("locale", "region", "phone")
"""Fields that the digest of a form does not have, or has only if they are filled in."""


@dataclass(frozen=True)
class Request:
    """A completed checkout form. `provider` may be PAY_LATER.

    `credit` is the store credit to use, in minor units of the cart's currency. `delivery` is the key of a delivery
    method, empty for the first one, `code` a discount code in its normal form.
    """

    customer: Customer
    provider: str
    shown: agreement.Shown
    credit: int = 0
    delivery: str = ""
    code: str = ""

    @property
    def choices(self) -> Choices:
        return Choices(self.customer.country, self.delivery, self.code, self.customer.locale)

    @property
    def digest(self) -> str:
        """Digest of all values that the customer entered; the page's language is not part of it."""
        form = {name: value for name, value in asdict(self.customer).items() if name not in _LEFT_OUT}
        chosen = {"delivery": self.delivery, "code": self.code}
        chosen |= {"region": self.customer.region, "phone": self.customer.phone}
        form |= {name: value for name, value in chosen.items() if value}
        return agreement.stated({**form, "method": self.provider, "credit": self.credit, "terms": self.shown.terms})
