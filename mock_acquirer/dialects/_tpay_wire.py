"""tpay's wire format: forms with CheckMacValue, whole Taiwan dollars, times in Taipei, and result codes."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qsl, quote_plus, urlencode

from mock_acquirer.errors import Refused
from mock_acquirer.money import EXPONENTS, LARGEST

TAIPEI = timezone(timedelta(hours=8), "Asia/Taipei")  # no daylight saving time since 1979
WRITTEN = "%Y/%m/%d %H:%M:%S"
FORM = "application/x-www-form-urlencoded"
MAC = "CheckMacValue"
CURRENCY = "TWD"
CUT_OFF = 20  # hour in Taipei at which the day's captures are submitted to the bank
MOST_FIELDS = 64
TRADE_NO = re.compile(r"[A-Za-z0-9]{1,20}")
TIME = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d")

OK = "1"
RESULTS: dict[str, str] = {
    OK: "Succeeded",
    "10200001": "MerchantID is not known",
    "10200047": "There is no such MerchantTradeNo",
    "10200050": "This MerchantTradeNo was used for something else",
    "10200051": "This MerchantTradeNo is finished",
    "10200052": "A parameter is missing or invalid",
    "10200053": "ExpireDate has passed",
    "10200060": "TimeStamp is more than three minutes off",
    "10200073": "CheckMacValue is wrong",
    "10200080": "This trade has already been paid",
    "10200081": "This trade has ended without a payment",
    "10200090": "The refund exceeds the remaining amount",
    "10200091": "There is no payment to refund",
    "10200092": "This RefundNo was used for another refund",
    "10200099": "The system is temporarily unavailable",
}
"""RtnCode and its meaning. All of these are sent with HTTP 200."""
ENDED_AS = {"declines": "10100058", "customer": "10100251", "merchant": "10100252", "time": "10200141"}
"""TradeStatus of a trade that ended unpaid, by who ended it."""


def no(code: str, message: str = "") -> Refused:
    """A refusal with this RtnCode."""
    return Refused(200, "tpay", code, message or RESULTS[code] + ".")


# --- the signature over fields ----------------------------------------------------------------------------------------


def check_mac(fields: Mapping[str, str], key: str, iv: str) -> str:
    """CheckMacValue of all other fields: sorted case-insensitively, between HashKey and HashIV, URL-encoded as .NET
    does, in
    lower case, SHA-256 in capitals.
    """
    pairs = sorted(((name, value) for name, value in fields.items() if name != MAC), key=lambda pair: pair[0].lower())
    joined = "&".join([f"HashKey={key}", *(f"{name}={value}" for name, value in pairs), f"HashIV={iv}"])
    encoded = quote_plus(joined, safe="-_.!*()").replace("~", "%7E")  # .NET encodes the tilde, Python does not
    return hashlib.sha256(encoded.lower().encode()).hexdigest().upper()


def sealed(fields: Mapping[str, str], key: str, iv: str) -> str:
    """The fields as a form, with their CheckMacValue."""
    return urlencode({**fields, MAC: check_mac(fields, key, iv)})


def is_sealed(fields: Mapping[str, str], key: str, iv: str) -> bool:
    """True when the CheckMacValue is right for the fields."""
    return hmac.compare_digest(fields.get(MAC, "").encode(), check_mac(fields, key, iv).encode())


def read_form(raw: bytes) -> dict[str, str]:
    """The fields of a form. Refuses invalid UTF-8, control characters and repeated fields."""
    try:
        options = {"keep_blank_values": True, "strict_parsing": True, "errors": "strict"}
        pairs = parse_qsl(raw.decode("ascii"), max_num_fields=MOST_FIELDS, **options)  # type: ignore[arg-type]
    except ValueError as broken:
        raise no("10200052", "The body is not a form in UTF-8.") from broken
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise no("10200052", "A field is repeated.")
    if not _plain(part for pair in pairs for part in pair):
        raise no("10200052", "A field has control characters.")
    return fields


def _plain(texts: Iterable[str]) -> bool:
    return all(ord(letter) > 31 and ord(letter) != 127 for text in texts for letter in text)


# --- amounts and times ------------------------------------------------------------------------------------------------


def dollars(amount: int, currency: str = CURRENCY) -> str:
    """Minor units as tpay writes them: whole dollars; a fraction appears only where a fault caused it."""
    places = EXPONENTS.get(currency, 2)
    whole, rest = divmod(amount, 10**places)
    return str(whole) + (f".{rest:0{places}d}" if rest else "")


def read_dollars(fields: Mapping[str, str], name: str) -> int:
    """Parse a field of whole dollars into minor units. Refuses anything else."""
    written = fields.get(name, "")
    largest = LARGEST // 10 ** EXPONENTS[CURRENCY]
    if not re.fullmatch(r"[1-9][0-9]{0,10}", written) or int(written) > largest:
        raise no("10200052", f"{name} must be whole dollars from 1 to {largest}.")
    return int(written) * 10 ** EXPONENTS[CURRENCY]


def taipei(moment: datetime | None) -> str:
    """`yyyy/MM/dd HH:mm:ss` in Taipei, or empty."""
    return moment.astimezone(TAIPEI).strftime(WRITTEN) if moment else ""


def read_time(fields: Mapping[str, str], name: str) -> datetime:
    """Parse a field with a time in Taipei into aware UTC. Refuses anything else."""
    written = fields.get(name, "")
    try:
        if not TIME.fullmatch(written):
            raise ValueError(written)
        return datetime.strptime(written, WRITTEN).replace(tzinfo=TAIPEI).astimezone(UTC)
    except (ValueError, OverflowError) as wrong:
        raise no("10200052", f"{name} must be a time of Taipei such as 2026/01/31 12:00:00.") from wrong


def cut_off(taken_at: datetime) -> datetime:
    """The 20:00 (Taipei) at which money captured then is submitted to the bank; a full reversal before it is a void."""
    local = taken_at.astimezone(TAIPEI)
    today = local.replace(hour=CUT_OFF, minute=0, second=0, microsecond=0)
    return (today if local < today else today + timedelta(days=1)).astimezone(UTC)


# --- fields -----------------------------------------------------------------------------------------------------------


def text(fields: Mapping[str, str], name: str, longest: int, default: str | None = None) -> str:
    """A text field. Refuses a missing value (without a default) or one that is too long."""
    value = fields.get(name, "") or default
    if value is None or len(value) > longest:
        raise no("10200052", f"{name} must be text of 1 to {longest} characters.")
    return value


def one_of(fields: Mapping[str, str], name: str, *choices: str) -> str:
    """One of the choices; the first when the field is missing. Refuses anything else."""
    value = fields.get(name) or choices[0]
    if value not in choices:
        raise no("10200052", f"{name} must be one of " + ", ".join(choices) + ".")
    return value


def number(fields: Mapping[str, str], name: str) -> str:
    """A number chosen by the merchant. Refuses all but 1 to 20 letters and digits."""
    value = fields.get(name, "")
    if not TRADE_NO.fullmatch(value):
        raise no("10200052", f"{name} must have 1 to 20 letters and digits.")
    return value
