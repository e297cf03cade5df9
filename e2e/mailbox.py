"""Mails to people, read at /dev/mail, and the links in them."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from e2e.conftest import Visitor
from tests.parts.waiting import until


def link_in_mail(visitor: Visitor, subject: str, to: str) -> str:
    """The address of the link in the newest mail with this subject to this address, once it is there."""
    found: list[str] = []

    def has_come() -> bool:
        mails = visitor.context.request.get(f"{visitor.demo.shop}/dev/mail.json").json()
        texts = [one["text"] for one in mails if (one["subject"], one["to"]) == (subject, to)]
        found.extend(re.findall(r"https?://\S+/(?:account/\S+|orders/of)/\S+", texts[0]) if texts else [])
        return bool(found)

    until(has_come, within=20, what=f"the mail {subject!r}")
    return found[0]


def confirm(visitor: Visitor, email: str) -> None:
    """Confirm the address of the account that is signed in, by the link of the mail."""
    page = visitor.tab()
    page.goto(link_in_mail(visitor, "Confirm your e-mail address", email))
    page.get_by_role("button", name="Confirm this address").click()
    expect(page.get_by_text("Your e-mail address is confirmed.")).to_be_visible()
    page.close()
