"""Uploaded pictures of products: add, describe, order and remove.

A product has them in `Product.images`, in their order: digest, pixels of the largest file, and the text for people who
do not see it, by locale. The first one is shown in lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.catalogue import browse, products, search_entries
from shop.catalogue.models import Product
from shop.core import audit, text
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import after_commit, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.languages import ENGLISH, OFFERED
from shop.media import files, uses

MOST = 12
"""Pictures of a product."""
LONGEST_TEXT = 200
"""Characters of the text of a picture."""
PREFIX = "media/"
"""Of an uploaded picture, in the places where illustrations have the name of their file."""
Images = Sequence[Mapping[str, Any]]


def main(image: str, images: Images) -> str:
    """The picture that stands for a product: the first uploaded one as `media/<digest>`, else its illustration."""
    return f"{PREFIX}{images[0]['digest']}" if images else image


def upload(sku: str, content: bytes, *, by: Actor) -> bool:
    """Add a picture to a product, behind the others; False if the product has it already.

    Raises Forbidden; BadInput `unknown_sku`, `bad_picture`; Refusal `too_many_pictures`; Away.
    """
    _demand(sku, by)
    picture = files.converted(content)  # without a transaction, because it takes seconds
    uses.reserve(picture.digest)
    files.store(picture)
    return _add(sku, picture, by)


@transactional
def _demand(sku: str, by: Actor) -> None:
    rights.demand(by, Permission.PRODUCT_WRITE)
    _check_number(products.locked(sku))


@transactional
def _add(sku: str, picture: files.Picture, by: Actor) -> bool:
    rights.demand(by, Permission.PRODUCT_WRITE)
    product = products.locked(sku)
    if any(image["digest"] == picture.digest for image in product.images):
        return False
    _check_number(product)
    added = {"digest": picture.digest, "width": picture.width, "height": picture.height, "alt": {}}
    uses.add(picture.digest)
    _write(product, Act.PICTURE_ADDED, [*product.images, added], by)
    return True


@transactional
def describe(sku: str, digest: str, texts: Mapping[str, str], place: int, *, by: Actor) -> None:
    """Set the texts of a picture, by locale, and its place from 0; no effect if it has them.

    Raises Forbidden, and BadInput `unknown_sku`, `unknown_picture`, `bad_picture_text`.
    """
    rights.demand(by, Permission.PRODUCT_WRITE)
    tidy = {locale: text.tidy(texts.get(locale, "")) for locale in OFFERED}
    if any(text.is_unusable(one) or len(one) > LONGEST_TEXT for one in tidy.values()):
        message = f"The text of a picture has at most {LONGEST_TEXT} characters, without control characters."
        raise BadInput("bad_picture_text", message)
    product = products.locked(sku)
    image = _found(product, digest)
    others = [one for one in product.images if one["digest"] != digest]
    kept = {locale: one for locale, one in image["alt"].items() if locale not in OFFERED}
    changed = {**image, "alt": kept | {locale: one for locale, one in tidy.items() if one}}
    place = min(max(0, place), len(others))
    images = [*others[:place], changed, *others[place:]]
    if images != product.images:
        _write(product, Act.PICTURE_CHANGED, images, by)


@transactional
def remove(sku: str, digest: str, *, by: Actor) -> None:
    """Remove a picture from a product. Its files are deleted later, unless an order shows it.

    Raises Forbidden, and BadInput `unknown_sku`, `unknown_picture`.
    """
    rights.demand(by, Permission.PRODUCT_WRITE)
    product = products.locked(sku)
    _found(product, digest)
    uses.drop(digest)
    _write(product, Act.PICTURE_REMOVED, [one for one in product.images if one["digest"] != digest], by)


def _found(product: Product, digest: str) -> dict[str, Any]:
    found = next((one for one in product.images if one["digest"] == digest), None)
    if found is None:
        raise BadInput("unknown_picture", "The product does not have this picture any more.")
    return found


def _check_number(product: Product) -> None:
    if len(product.images) >= MOST:
        raise Refusal("too_many_pictures", f"A product has at most {MOST} pictures. Remove one first.")


def _write(product: Product, act: Act, images: list[dict[str, Any]], by: Actor) -> None:
    before, after = ({"images": ", ".join(map(_shown, each))} for each in (product.images, images))
    product.images, product.version = images, product.version + 1
    search_entries.write([product.sku])
    subject = Subject(SubjectKind.PRODUCT, product.sku)
    audit.record(by, act, subject, before=before, after={**after, "version": product.version})
    after_commit(browse.clear_cache)


def _shown(image: Mapping[str, Any]) -> str:
    alt = image["alt"].get(ENGLISH, "")
    return f"{image['digest'][:8]} ({alt})" if alt else str(image["digest"][:8])
