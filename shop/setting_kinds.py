"""A setting, and kinds of settings beyond text, numbers and switches. Each reads the text of its setting and raises
ValueError.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parseaddr
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.numbers import list_currencies
from redis.connection import parse_url
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_MAILBOX = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+\Z")


@dataclass(frozen=True)
class Setting:
    """A row of the table: environment variable, default in its text form, meaning. `kind` is str, int, float, bool,
    or one of the classes below; a number is at least `least`.
    """

    name: str
    default: str
    meaning: str
    kind: type = str
    secret: bool = False
    least: float = 0

    @property
    def published(self) -> bool:
        """True if the default is a published secret. It is used in development only, and only where the setting is
        absent: an empty value stays empty. (Addresses are secret because they may contain a password.)
        """
        return self.secret and bool(self.default) and "://" not in self.default


class WebAddress(str):
    """An http or https address, or empty."""

    __slots__ = ()

    def __new__(cls, text: str) -> WebAddress:
        parts = urlsplit(text)
        if text and (parts.scheme not in ("http", "https") or not parts.hostname or not 0 <= (parts.port or 0) < 65536):
            raise ValueError(text)
        return super().__new__(cls, text)


class ChatWebhook(str):
    """An https address of an incoming webhook, http on this machine only, or empty. Raises ValueError.

    The path of such an address is its password, so it has none of its own.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> ChatWebhook:
        parts = urlsplit(text)
        is_known = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL_HOSTS)
        is_plain = text.isascii() and text.isprintable() and not set(text) & set(' "\\<>')
        if text and not (is_known and is_plain and parts.hostname and 0 <= (parts.port or 0) < 65536):
            raise ValueError(text)
        if parts.username is not None or parts.fragment:
            raise ValueError(text)
        return super().__new__(cls, text)


class MediaAddress(str):
    """A path on the shop's own host, or an https address, with a slash at its end. Raises ValueError."""

    __slots__ = ()

    def __new__(cls, text: str) -> MediaAddress:
        parts = urlsplit(text)
        is_path = text.startswith("/") and not text.startswith("//")
        is_address = parts.scheme == "https" and bool(parts.hostname) and parts.username is None
        is_plain = text.isascii() and text.isprintable() and not set(text) & set(" ;,'\"\\<>")
        if not (is_path or is_address) or not is_plain or parts.query or parts.fragment:
            raise ValueError(text)
        return super().__new__(cls, f"{text.rstrip('/')}/")


class LogLevel(str):
    """Log level of LEVELS, in either case. Raises ValueError for anything else."""

    __slots__ = ()
    LEVELS = ("debug", "info", "warning", "error")

    def __new__(cls, text: str) -> LogLevel:
        if text.lower() not in cls.LEVELS:
            raise ValueError(text)
        return super().__new__(cls, text.lower())


class SecondFactorRule(str):
    """`required`, `optional`, or empty for the default of the environment. Raises ValueError for anything else."""

    __slots__ = ()
    RULES = ("required", "optional")

    def __new__(cls, text: str) -> SecondFactorRule:
        if text and text not in cls.RULES:
            raise ValueError(text)
        return super().__new__(cls, text)


class OnOrOff(str):
    """`on`, `off`, or empty for the default of the environment. Raises ValueError for anything else."""

    __slots__ = ()

    def __new__(cls, text: str) -> OnOrOff:
        if text not in ("", "on", "off"):
            raise ValueError(text)
        return super().__new__(cls, text)


class FirebaseProject(str):
    """Id of a Firebase project, or empty. Raises ValueError for anything else."""

    __slots__ = ()

    def __new__(cls, text: str) -> FirebaseProject:
        if text and not re.fullmatch("[a-z][a-z0-9-]{4,28}[a-z0-9]", text):
            raise ValueError(text)
        return super().__new__(cls, text)


class TimeZone(str):
    """Name of a time zone of the IANA database. Raises ValueError for anything else."""

    __slots__ = ()

    def __new__(cls, text: str) -> TimeZone:
        try:
            ZoneInfo(text)
        except (ZoneInfoNotFoundError, OSError) as error:
            raise ValueError(text) from error
        return super().__new__(cls, text)


class CurrencyAmounts(dict[str, int]):
    """Parse amounts in minor units by currency, as in `TWD=20000000,USD=700000`. Raises ValueError, also for an unknown
    currency code.
    """

    def __init__(self, text: str) -> None:
        pairs = [pair.partition("=") for pair in text.split(",")]
        super().__init__((code.strip(), int(amount)) for code, _, amount in pairs)
        if len(self) != len(pairs) or any(code not in list_currencies() or amount < 0 for code, amount in self.items()):
            raise ValueError(text)


class MailServer(str):
    """Address of an SMTP server, `smtp://user:password@host:587/?starttls=1` or `smtps://…`, or empty.

    `timeout` is in seconds, for the connection and for each reply. `plain=1` states that a connection without TLS is
    intended.
    """

    def __new__(cls, text: str) -> MailServer:
        return super().__new__(cls, text)

    def __init__(self, text: str) -> None:
        parts = urlsplit(text)
        options = {name: values[-1] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
        if text and (parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/")):
            raise ValueError(text)
        self.host = parts.hostname or ""
        self.is_implicit_tls = parts.scheme == "smtps"
        self.port = parts.port or (465 if self.is_implicit_tls else 587)
        self.user, self.password = unquote(parts.username or ""), unquote(parts.password or "")
        self.is_starttls = _switch(options.pop("starttls", "0"))
        self.is_plain_intended = _switch(options.pop("plain", "0"))
        self.timeout = float(options.pop("timeout", "10"))
        if options or not 0 < self.timeout <= 60 or (self.is_starttls and self.is_implicit_tls):
            raise ValueError(text)

    @property
    def is_encrypted(self) -> bool:
        """True if the connection uses TLS from its start or by STARTTLS."""
        return self.is_implicit_tls or self.is_starttls


class MailSender(str):
    """One mailbox with or without a name, as in `Settled <orders@example.com>`, or empty."""

    __slots__ = ()

    def __new__(cls, text: str) -> MailSender:
        if text and not (_MAILBOX.match(parseaddr(text)[1]) and text.isprintable()):
            raise ValueError(text)
        return super().__new__(cls, text)


class Mailboxes(tuple[str, ...]):
    """E-mail addresses without names, separated by commas."""

    __slots__ = ()

    def __new__(cls, text: str) -> Mailboxes:
        found = [part for part in (part.strip() for part in text.split(",")) if part]
        if not all(_MAILBOX.match(one) and one.isprintable() for one in found):
            raise ValueError(text)
        return super().__new__(cls, found)


class Ports(frozenset[int]):
    """Ports, separated by commas, at least one. Raises ValueError."""

    __slots__ = ()

    def __new__(cls, text: str) -> Ports:
        found = super().__new__(cls, (int(part) for part in text.split(",")))
        if not all(0 < port < 65536 for port in found):
            raise ValueError(text)
        return found


class WebOrigins(tuple[str, ...]):
    """Origins of web pages, such as `https://app.example.com`, separated by commas. Raises ValueError, also for `*`."""

    __slots__ = ()

    def __new__(cls, text: str) -> WebOrigins:
        found = [part for part in (part.strip() for part in text.split(",")) if part]
        for one in found:
            parts = urlsplit(one)
            is_origin = parts.scheme in ("http", "https") and f"{parts.scheme}://{parts.netloc}" == one
            if not is_origin or not parts.hostname or parts.username is not None:
                raise ValueError(text)
        return super().__new__(cls, found)


def _switch(value: str) -> bool:
    if value not in ("0", "1"):
        raise ValueError(value)
    return value == "1"


def is_known_database(url: str) -> bool:
    """True for an address of PostgreSQL with psycopg, or of SQLite."""
    try:
        return make_url(url).drivername in ("postgresql+psycopg", "sqlite")
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        return False


def is_redis(url: str) -> bool:
    """True for an address of Redis, and for none."""
    try:
        return not url or bool(parse_url(url))  # type: ignore[no-untyped-call]
    except ValueError:
        return False


WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    WebAddress: "an address that begins with http:// or https://",
    ChatWebhook: "an address that begins with https:// and has no user",
    CurrencyAmounts: "minor units by currency, such as TWD=20000000,USD=700000",
    MediaAddress: "a path such as /media/, or an address that begins with https://",
    LogLevel: ", ".join(LogLevel.LEVELS),
    MailServer: "an address such as smtp://user:password@host:587/?starttls=1",
    MailSender: "an e-mail address, with or without a name",
    Mailboxes: "e-mail addresses separated by commas",
    Ports: "ports separated by commas, such as 443,8443",
    FirebaseProject: "the id of a Firebase project, such as settled-shop",
    WebOrigins: "origins such as https://app.example.com, separated by commas",
    TimeZone: "a time zone such as Asia/Taipei",
    SecondFactorRule: " or ".join(SecondFactorRule.RULES),
    OnOrOff: "on or off",
}
"""What a setting of each kind has to be."""
