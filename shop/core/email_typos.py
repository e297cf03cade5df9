"""Likely typing errors in the domains of e-mail addresses. They are a hint for the customer and refuse nothing."""

from __future__ import annotations

import re

FREQUENT = (
    *("gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "icloud.com", "live.com", "msn.com", "me.com", "aol.com"),
    *("yahoo.com.tw", "hinet.net", "msa.hinet.net", "pchome.com.tw", "seed.net.tw"),
    *("yahoo.co.jp", "docomo.ne.jp", "ezweb.ne.jp", "au.com", "softbank.ne.jp", "i.softbank.jp", "nifty.com"),
    *("qq.com", "163.com", "126.com", "sina.com", "foxmail.com", "naver.com", "daum.net"),
    *("yahoo.co.uk", "hotmail.co.uk", "gmx.de", "gmx.net", "web.de", "orange.fr", "proton.me", "protonmail.com"),
)
"""Domains that customers mean; the first of two that are equally near is suggested."""
_GENUINE = frozenset(
    {"ymail.com", "mail.com", "email.com", "gmx.com", "gmx.at", "gmx.ch", "yeah.net", "hotmail.fr", "yahoo.fr"}
)
"""Domains of mail providers that look like typing errors."""
_SHORT, _LONG_ENOUGH = 7, 9
"""Characters of a domain: for a shorter one than the first there is no guess unless its name is right, and two errors
count as a typing error from the second on.
"""


def suggestion(address: str) -> str | None:
    """The address that the customer probably meant, such as `ann@gmail.com` for `ann@gmial.con`; None for no guess."""
    name, at, domain = address.rpartition("@")
    domain = domain.lower()
    if not at or not name or domain in FREQUENT or domain in _GENUINE or not re.fullmatch(r"[a-z0-9.-]{3,40}", domain):
        return None
    errors, _at, known = min((distance(domain, known), at, known) for at, known in enumerate(FREQUENT))
    if len(known) < _SHORT and domain.split(".")[0] != known.split(".")[0]:
        return None  # ab.com is not qq.com
    return f"{name}@{known}" if errors <= (2 if len(known) >= _LONG_ENOUGH else 1) else None


def distance(first: str, second: str) -> int:
    """Typing errors between two words: letters that are wrong, missing, too many, or swapped with their neighbour."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, start=1):
        before, last, row = row, before, [i]
        for j, other in enumerate(second, start=1):
            steps = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == other:
                steps = min(steps, last[j - 2] + 1)
            row.append(steps)
    return row[-1]
