"""Numbers of rows in addresses: `<int:…>` takes the numbers that a database gives, and no other address exists."""

from __future__ import annotations

from flask import Flask
from werkzeug.exceptions import NotFound
from werkzeug.routing import IntegerConverter

from shop.accounts.staff_list import LARGEST_ID

_MOST_DIGITS = len(str(LARGEST_ID))


class RowId(IntegerConverter):
    """A number from 1 to LARGEST_ID in ASCII digits. Larger ones would be errors in the database."""

    def to_python(self, value: str) -> int:
        """The number. Raises NotFound, so that no other rule takes the address."""
        if len(value) > _MOST_DIGITS or not value.isascii() or not 0 < int(value) <= LARGEST_ID:
            raise NotFound
        return int(value)


def init_app(app: Flask) -> None:
    """Use it for all rules of `app` that are added after this."""
    app.url_map.converters["int"] = RowId
