"""Carriers, and links by which a package is tracked. Pure.

A shipment stores the name of its carrier and the link as they were when it left: a later change of the table does not
change them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from shop.core import text, web_address
from shop.fulfilment.refusals import bad_input

OTHER = "other"
"""Key of a carrier that the table does not have: staff give its name and, if there is one, a link."""
LONGEST_NUMBER = 40
LONGEST_NAME = 60
_NUMBER = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Carrier:
    """A carrier. `tracking` is the address of its tracking page, with `{number}` where that takes the number; `title`
    is its name in `language`, the one of its country.
    """

    name: str
    tracking: str
    title: str = ""
    language: str = ""

    def link(self, number: str) -> str:
        """The link that tracks a package; empty for one without a number."""
        return self.tracking.replace("{number}", quote(number, safe="")) if number else ""


CARRIERS: Mapping[str, Carrier] = {
    "post-tw": Carrier(
        "Chunghwa Post", "https://postserv.post.gov.tw/pstmail/main_mail.html?targetTxn=EB500100", "中華郵政", "zh"
    ),
    "t-cat": Carrier("T-Cat", "https://www.t-cat.com.tw/Inquire/TraceDetail.aspx?BillID={number}", "黑貓宅急便", "zh"),
    "yamato": Carrier(
        "Yamato Transport",
        "https://jizen.kuronekoyamato.co.jp/jizen/servlet/crjz.b.NQ0010?id={number}",
        "ヤマト運輸",
        "ja",
    ),
    "sagawa": Carrier(
        "Sagawa Express",
        "https://k2k.sagawa-exp.co.jp/p/web/okurijosearch.do?okurijoNo={number}",
        "佐川急便",
        "ja",
    ),
    "post-jp": Carrier(
        "Japan Post",
        "https://trackings.post.japanpost.jp/services/srv/search/direct?reqCodeNo1={number}",
        "日本郵便",
        "ja",
    ),
    "dhl": Carrier("DHL", "https://www.dhl.com/global-en/home/tracking.html?tracking-id={number}"),
    "fedex": Carrier("FedEx", "https://www.fedex.com/fedextrack/?trknbr={number}"),
    "ups": Carrier("UPS", "https://www.ups.com/track?tracknum={number}"),
    "usps": Carrier("USPS", "https://tools.usps.com/go/TrackConfirmAction?tLabels={number}"),
}
"""Carriers by key, in the order of the form. All links are https."""


def local_name(name: str, language: str) -> str:
    """The name of a carrier for a reader of `language` (`ja`, `zh`), as that carrier writes it there."""
    found = next((one for one in CARRIERS.values() if one.name == name), None)
    return found.title if found and found.language == language else name


@dataclass(frozen=True)
class Tracking:
    """The carrier of a package by name, its tracking number, and the link to track it; empty ones are unknown."""

    carrier: str
    number: str
    url: str


def tracking(key: str, number: str, *, name: str = "", url: str = "") -> Tracking:
    """The tracking of a package from the fields of a form; `name` and `url` are those of another carrier.

    Raises BadInput: `bad_carrier`, `bad_tracking_number`, `bad_tracking_link`.
    """
    number = _number(number)
    if key in CARRIERS:
        if name.strip() or url.strip():
            message = "Name and link are for other carriers only. Choose the carrier “Other”, or leave them empty."
            raise bad_input("bad_carrier", message, "carrier_name")
        return Tracking(CARRIERS[key].name, number, CARRIERS[key].link(number))
    if key != OTHER:
        raise bad_input("bad_carrier", "Choose a carrier.", "carrier")
    return Tracking(_name(name), number, _link(url.strip()))


def _number(typed: str) -> str:
    number = text.plain(typed).replace(" ", "")
    if number and (len(number) > LONGEST_NUMBER or not _NUMBER.fullmatch(number)):
        message = f"A tracking number has at most {LONGEST_NUMBER} letters, digits and hyphens."
        raise bad_input("bad_tracking_number", message, "tracking_number")
    return number


def _name(typed: str) -> str:
    name = text.tidy(typed)
    if not name or len(name) > LONGEST_NAME or text.is_unusable(name):
        message = f"Enter the name of the carrier, at most {LONGEST_NAME} characters."
        raise bad_input("bad_carrier", message, "carrier_name")
    return name


def _link(typed: str) -> str:
    try:
        return web_address.https(typed) if typed else ""
    except ValueError as error:
        message = "A tracking link begins with https:// and has no spaces. Leave it empty if there is none."
        raise bad_input("bad_tracking_link", message, "tracking_url") from error
