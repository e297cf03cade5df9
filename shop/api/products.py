"""Products: list, show, change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Response, jsonify, request

from shop.accounts.permissions import Permission
from shop.api import paging, versions
from shop.api.access import api_access, caller
from shop.api.idempotency import idempotent
from shop.api.problems import problems
from shop.api.resource import Invalid, Resource
from shop.api.schemas import products as schemas
from shop.api.schemas.pages import COUNTED
from shop.catalogue import browse, listing, product_fields, products
from shop.catalogue.product_changes import Stale
from shop.catalogue.product_fields import InvalidFields
from shop.core import languages, text
from shop.core.errors import Refusal
from shop.inventory import stock
from shop.product_search.find import Sort, Wanted

bp = Resource("Products", __name__, "/products", "The catalogue, with prices in minor units and available stock.")
_SKU = {"description": "Stock keeping unit of the product.", "schema": {"type": "string", "maxLength": 64}}
PARAMETERS = [{"in": "path", "name": "sku", "required": True} | _SKU]
_HEADERS: dict[str, Any] = {
    "Content-Language": {"description": "Language of names and texts.", "schema": {"type": "string"}},
}
_ETAG: dict[str, Any] = {
    "ETag": {
        "description": "Version of the answer, for If-None-Match, and of the product, for If-Match of a change.",
        "schema": {"type": "string"},
    }
}


@bp.route("", methods=["GET"])
@api_access("public")
@paging.lists(bp, schemas.ProductQuery, schemas.ProductPageSchema, schemas.EXAMPLE, headers=_HEADERS | paging.HEADERS)
def index(query: dict[str, Any]) -> tuple[Response, dict[str, str]]:
    """List products

    In the order of the catalogue unless `sort` is given; with `q` the best matches first, from the texts of all
    languages. Names are in the language of Accept-Language.
    """
    page, language = paging.wanted(query), _language()
    wanted = Wanted(text.tidy(query.get("q", "")), query.get("category", ""), counted=COUNTED, language=language)
    sorted_by = {"sort": Sort(query["sort"]), "currency": query["currency"]}
    found = listing.page(replace(wanted, offset=page.offset, limit=page.limit, **sorted_by))
    items = [schemas.product(one.in_language(language), found.available[one.sku]) for one in found.products]
    body, headers = paging.answer(items, min(found.number, COUNTED), page, is_exact=found.number <= COUNTED)
    return _in_language(body, language), headers


@bp.route("/<sku>", methods=["GET"], parameters=PARAMETERS)
@api_access("public")
@problems("unknown_product")
@bp.response(200, schemas.ProductSchema, headers=_HEADERS | _ETAG, example=schemas.EXAMPLE)
@bp.alt_response(304, description="The version in If-None-Match is the present one.")
def show(sku: str) -> Response:
    """Show a product

    `sku` is in the list of products.
    """
    response = _shown(sku)
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    return response


@bp.route("/<sku>", methods=["PATCH"], parameters=PARAMETERS)
@api_access(Permission.PRODUCT_WRITE)
@idempotent(required=False)
@problems("unknown_product", "version_needed", "version_changed")
@bp.doc(parameters=[versions.NEEDED])
@bp.arguments(schemas.ChangeProductSchema, example=schemas.CHANGE)
@bp.response(200, schemas.ProductSchema, headers=_HEADERS | _ETAG, example=schemas.EXAMPLE)
def change(body: dict[str, Any], sku: str) -> Response:
    """Change texts, prices, category or address of a product

    `If-Match` is the `ETag` of the product as it was read: what a colleague has changed meanwhile is never overwritten.
    Carts show a new price and ask the customer to accept it; orders keep theirs.
    """
    product = products.find(sku)
    if product is None:
        raise _unknown()
    versions.demand_number(seen := product.version)
    typed = product_fields.as_typed(product) | schemas.typed(body)
    try:
        products.save(sku, product_fields.read(typed), seen=seen, by=caller().actor(Permission.PRODUCT_WRITE))
    except Stale as stale:
        raise Refusal("version_changed", "The product has changed since it was read. Nothing was done.") from stale
    except InvalidFields as invalid:
        found = invalid.errors.items()
        errors = [{"pointer": schemas.pointer(name), "code": "invalid", "detail": why} for name, why in found]
        raise Invalid(errors) from invalid
    return _shown(sku)


def _shown(sku: str) -> Response:
    """The answer with a product, in the language of the request. Raises Refusal `unknown_product`."""
    language, found = _language(), browse.by_skus([sku]).get(sku)
    if found is None:
        raise _unknown()
    body = schemas.product(found.in_language(language), stock.available([sku]).get(sku, 0))
    response = _in_language(body, language)
    response.set_etag(versions.numbered(found.version, body | {"language": language}))
    return response


def _unknown() -> Refusal:
    return Refusal("unknown_product", "There is no such product.")


def _language() -> str:
    return languages.best(request.accept_languages.values()) or languages.ENGLISH


def _in_language(body: dict[str, Any], language: str) -> Response:
    response = jsonify(body)
    response.headers["Content-Language"] = languages.tag(language)
    response.vary.add("Accept-Language")
    return response
