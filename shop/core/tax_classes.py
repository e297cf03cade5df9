"""Tax classes of products."""

from __future__ import annotations

from enum import StrEnum


class TaxClass(StrEnum):
    """The rate of a country that a product is taxed with. The values are stored and must not change.

    REDUCED is for products such as food and books; in a country without a reduced rate it is taxed with the standard
    one. ZERO is taxed with 0 percent.
    """

    STANDARD = "standard"
    REDUCED = "reduced"
    ZERO = "zero"
