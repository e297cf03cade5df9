"""Products: list and details."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Response, jsonify, request

from shop.api import paging
from shop.api.access import api_access
from shop.api.problems import problems
from shop.api.resource import Resource
from shop.api.schemas import products as schemas
from shop.api.schemas.pages import COUNTED
from shop.catalogue import browse, listing
from shop.core import languages, text
from shop.core.errors import Refusal
from shop.inventory import stock
from shop.product_search.find import Wanted

bp = Resource("Products", __name__, "/products", "The catalogue, with prices in minor units and available stock.")
_SKU = {"description": "Stock keeping unit of the product.", "schema": {"type": "string", "maxLength": 64}}
PARAMETERS = [{"in": "path", "name": "sku", "required": True} | _SKU]
_HEADERS: dict[str, Any] = {
    "Content-Language": {"description": "Language of names and texts.", "schema": {"type": "string"}},
}
_ETAG: dict[str, Any] = {
    "ETag": {"description": "Version of the answer, for If-None-Match.", "schema": {"type": "string"}}
}


@bp.route("", methods=["GET"])
@api_access("public")
@bp.arguments(schemas.ProductQuery, location="query")
@bp.response(
    200,
    schemas.ProductPageSchema,
    headers=_HEADERS | paging.HEADERS,
    example={"items": [schemas.EXAMPLE], "total": 1, "limit": 20, "page": 1},
)
def index(query: dict[str, Any]) -> tuple[Response, dict[str, str]]:
    """List products

    In the order of the catalogue; with `q` the best matches first, from the texts of all languages. Names are in the
    language of Accept-Language.
    """
    page, language = paging.wanted(query), _language()
    wanted = Wanted(text.tidy(query.get("q", "")), query.get("category", ""), counted=COUNTED)
    found = listing.page(replace(wanted, offset=page.offset, limit=page.limit))
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
    language = _language()
    found = browse.by_skus([sku]).get(sku)
    if found is None:
        raise Refusal("unknown_product", "There is no such product.")
    response = _in_language(schemas.product(found.in_language(language), stock.available([sku]).get(sku, 0)), language)
    response.add_etag()
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    return response


def _language() -> str:
    return languages.best(request.accept_languages.values()) or languages.ENGLISH


def _in_language(body: dict[str, Any], language: str) -> Response:
    response = jsonify(body)
    response.headers["Content-Language"] = languages.tag(language)
    response.vary.add("Accept-Language")
    return response
