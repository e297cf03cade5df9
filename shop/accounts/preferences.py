"""Preferences of an account."""

from __future__ import annotations

from sqlalchemy import update

from shop.accounts.models import User
from shop.core import languages
from shop.core.db import db, transactional
from shop.core.errors import BadInput
from shop.core.sentences import sentence


@transactional
def set_language(user_id: int, language_tag: str) -> str:
    """Store the language of the account's pages, and return its locale. Raises BadInput `unknown_language`."""
    locale = languages.offered(language_tag)
    if locale is None:
        raise BadInput("unknown_language", sentence("Choose a language from the list."))
    db.session.execute(update(User).where(User.id == user_id).values(language=locale))
    return locale
