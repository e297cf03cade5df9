"""Ways back into an account by a mailed link: a new password, and the end of the delay after wrong passwords.

The answer to a request, the statements it sends and its limits are the same for addresses without an account.
"""

from __future__ import annotations

from shop.accounts import api_keys, credentials, links, mail_limits, passwords, signin, throttle, verification
from shop.accounts.decide import LinkPurpose
from shop.accounts.known_devices import Device
from shop.core import email_address
from shop.core.actor import Actor
from shop.core.db import transactional


def request(purpose: LinkPurpose, email: str, language: str) -> None:
    """Mail a link for `purpose` to the account with this address, if there is one. Raises TooManyMails."""
    address = email_address.for_lookup(email)
    mail_limits.count(purpose, address)
    _make(purpose, address, language)


@transactional
def _make(purpose: LinkPurpose, address: str, language: str) -> None:
    links.make(purpose, links.owner_of(address), language)


def reset(signed: str, password: str, ip: str, device: Device | None = None) -> None:
    """Set the password of the account of a RESET link, and end all its sign-ins and API keys: the link is the way back
    after another person had the password, and may have made a key. Its address is verified from then on,
    and this browser and network may sign in at once.

    Raises LinkEnded, and BadInput (details: `field`) for a password that may not be chosen.
    """
    link = links.read(LinkPurpose.RESET, signed)
    signin.check_password(password, link.account_email or "")
    _reset(signed, passwords.make(password), ip, device)


@transactional
def _reset(signed: str, hashed: str, ip: str, device: Device | None) -> None:
    link, user = links.use(LinkPurpose.RESET, signed)
    credentials.write_password(user.id, hashed, link.language)
    api_keys.end_all(user.id, by=Actor.staff(user.id), because="The password was reset by a mailed link.")
    verification.mark(user.id)
    throttle.forgive(user.email, ip, device)


@transactional
def unlock(signed: str, ip: str, device: Device | None = None) -> None:
    """End the delay after wrong passwords for the account of an UNLOCK link, in this browser and network. Raises
    LinkEnded.
    """
    _, user = links.use(LinkPurpose.UNLOCK, signed)
    throttle.forgive(user.email, ip, device)
