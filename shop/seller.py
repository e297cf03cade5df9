"""The seller of the shop, as the settings `SELLER_…` name it until finance changes it (see `shop.seller_data`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shop.settings import DEVELOPMENT


@dataclass(frozen=True)
class Seller:
    """Legal name, address in one line, tax number and e-mail address; each may be empty."""

    name: str = ""
    address: str = ""
    tax_id: str = ""
    email: str = ""


DEMO = Seller("Settled Demo Shop", "1 Example Road, Taipei 100, Taiwan", "00000000", "help@settled.example")
"""The seller of a development environment that names none; production refuses each of its values."""


def of(config: Mapping[str, Any]) -> Seller:
    """The seller of a shop with these settings."""
    named = Seller(config["SELLER_NAME"], config["SELLER_ADDRESS"], config["SELLER_TAX_ID"], config["SELLER_EMAIL"])
    return DEMO if named == Seller() and config["SETTLED_ENV"] == DEVELOPMENT else named
