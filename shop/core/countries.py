"""Names of countries and regions as people write them in an address."""

from __future__ import annotations

import re
from collections.abc import Mapping

from babel import Locale

SHIPS_TO = frozenset(re.findall("..", "TWJPHKMOSGMYTHVNPHKRIDINAUNZUSCAMXBRGBIEFRDEATCHNLBELUDKSENOFIISESPTITPLCZGR"))
"""Countries that the shop ships to, as ISO 3166 codes."""
_SHORT: Mapping[str, Mapping[str, str]] = {
    "HK": {"en": "Hong Kong", "zh_Hant": "香港", "zh_Hans": "香港", "ja": "香港"},
    "MO": {"en": "Macao", "zh_Hant": "澳門", "zh_Hans": "澳门", "ja": "マカオ"},
}
"""Names that CLDR has in a long form only, by locale."""


def name(code: str, locale: Locale) -> str:
    """The name in this language; the code itself where there is none."""
    short = _SHORT.get(code, {}).get(str(locale)) or _SHORT.get(code, {}).get(locale.language)
    return short or str(locale.territories.get(code, code))
