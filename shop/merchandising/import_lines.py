"""Lines of an import of products: read and decided one by one, and written together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from shop.accounts import rights
from shop.catalogue import product_fields
from shop.catalogue.models import Product
from shop.catalogue.product_changes import Changes
from shop.catalogue.product_fields import Fields, InvalidFields
from shop.core import text
from shop.core.actor import Actor
from shop.core.errors import Refusal
from shop.merchandising import csv_export, opening_stock
from shop.merchandising.models import Outcome

STATES = ("active", "archived")
_KEPT_WHEN_EMPTY = ("slug", "state")
What = dict[str, Any]
"""Changed fields with their values before and after, or the error by field."""


@dataclass
class Line:
    """A line of a file by its number, with the cells by column, the error that was found when the file was read, and
    what becomes of its product.
    """

    number: int
    given: Mapping[str, str]
    error: str = ""
    outcome: Outcome = Outcome.UNCHANGED
    what: What = field(default_factory=dict)
    fields: Fields | None = None
    units: int = 0

    @property
    def sku(self) -> str:
        return text.plain(self.given.get("sku", "")).upper()

    @property
    def state(self) -> str:
        return self.given.get("state", "").strip().lower()

    @contextmanager
    def refused(self) -> Iterator[None]:
        """Keep the refusal of the block as the outcome. Raises Forbidden."""
        try:
            yield
        except rights.Forbidden:
            raise
        except Refusal as refusal:
            self.outcome, self.fields = Outcome.REFUSED, None
            self.what = refusal.errors if isinstance(refusal, InvalidFields) else {"": refusal.message}


def change(lines: Sequence[Line], *, by: Actor, reason: str, is_trial: bool = False) -> None:
    """Create or change the products of lines in the current transaction, and set the outcome of each; cells that are
    not given stay. `reason` is that of the receipts of opening stock. The caller rolls a trial back. Safe to repeat: a
    transaction that the database aborts is.

    Raises Forbidden; a line that is refused for another reason changes nothing.
    """
    changes = Changes({line.sku for line in lines}, by)
    for line in lines:
        with line.refused():
            _read(line, changes.products.get(line.sku))
    changes.look_up([line.fields.slug for line in lines if line.fields])
    for line in lines:
        with line.refused():
            if line.fields:
                (_save if line.sku in changes.products else _create)(line, line.fields, changes)
    changes.write(is_trial=is_trial)
    units = {line.sku: line.units for line in lines if line.fields and line.units}
    received = opening_stock.receive_all(units, by=by, reason=reason)
    for line in lines:
        if line.fields and (number := received.get(line.sku)):
            line.what[opening_stock.COLUMN] = ["", f"{number:,} {'unit' if number == 1 else 'units'} received"]
            line.outcome = Outcome.CREATED if line.outcome is Outcome.CREATED else Outcome.CHANGED


def _read(line: Line, product: Product | None) -> None:
    """Read the fields and the opening stock; no fields where the line repeats what is stored. Raises InvalidFields."""
    line.outcome, line.what, line.fields, line.units = Outcome.UNCHANGED, {}, None, 0
    if line.error:
        raise InvalidFields({"": line.error})
    product_fields.read_sku(line.sku)
    if line.state and line.state not in STATES:
        raise InvalidFields({"state": f"The state is {' or '.join(STATES)}."})
    slug = line.given.get("slug", "").strip()
    if product is None:
        slug = slug or product_fields.slug_of(line.given.get("name", ""))
        line.fields, line.units = opening_stock.read({**line.given, "slug": slug})
        return
    before = csv_export.values(product)
    kept = [name for name, typed in line.given.items() if not typed and name in _KEPT_WHEN_EMPTY]
    given = {name: typed for name, typed in line.given.items() if name not in ("sku", *kept)}
    if any(typed != before[name] for name, typed in given.items()):
        line.fields, line.units = opening_stock.read({**before, **given, "slug": slug or product.slug})


def _create(line: Line, fields: Fields, changes: Changes) -> None:
    changes.create(line.sku, fields, is_archived=line.state == "archived")
    line.outcome = Outcome.CREATED
    line.what = {name: ["", value] for name, value in product_fields.as_typed(fields).items() if value}


def _save(line: Line, fields: Fields, changes: Changes) -> None:
    line.what = dict(changes.save(line.sku, fields, seen=changes.product(line.sku).version))
    if line.state:
        line.what |= changes.set_archived(line.sku, line.state == "archived")
    line.outcome = Outcome.CHANGED if line.what else Outcome.UNCHANGED
