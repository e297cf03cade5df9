"""Normal form of e-mail addresses, so that all spellings of an address find the same account."""

from __future__ import annotations

import unicodedata

from email_validator import EmailNotValidError, validate_email

from shop.core import text

LONGEST = 254
LONGEST_LOCAL_PART = 64


class NotAnAddress(ValueError):
    """The text is not an e-mail address."""


def normal(written: str) -> str:
    """Return the normal form in which an address is stored and looked up. Raises NotAnAddress.

    Full-width and other compatibility characters become plain ones (NFKC), invisible characters are removed, and the
    result is in lower case. The domain is in Unicode, also when it was given as `xn--…`. The local part is compared
    without regard to case, which standards leave to the receiver: no provider in use distinguishes two mailboxes by it.
    Its dots and a plus suffix are kept.
    """
    try:
        found = validate_email(typed(written), check_deliverability=False, strict=True).normalized
    except EmailNotValidError as wrong:
        raise NotAnAddress(str(wrong)) from wrong
    return unicodedata.normalize("NFC", found.lower())


def typed(written: str) -> str:
    """Remove characters that a keyboard or the clipboard has added; the result need not be an address."""
    return text.tidy(unicodedata.normalize("NFKC", text.tidy(written)))


def is_too_long(written: str) -> bool:
    """True if no mail server need accept an address of this length (RFC 5321, section 4.5.3.1)."""
    return len(written) > LONGEST or len(written.rpartition("@")[0]) > LONGEST_LOCAL_PART


def for_lookup(written: str) -> str:
    """As `normal`; other text is returned stripped and matches no stored address."""
    try:
        return normal(written)
    except NotAnAddress:
        return typed(written).lower()[:LONGEST]
