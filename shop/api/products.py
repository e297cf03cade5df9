"""Products: list and details."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify, request

from shop.api import paging
from shop.api.access import api_access
from shop.api.problems import problems
from shop.api.resource import Resource
from shop.api.schemas import products as schemas
from shop.catalogue import browse
from shop.core import languages
from shop.core.errors import Refusal
from shop.inventory import stock

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

    In the order of the catalogue. Names are in the language of Accept-Language.
    """
    page, language = paging.wanted(query), _language()
    found = browse.search(query.get("q", ""), query.get("category", ""), language)
    shown = found[page.offset : page.offset + page.limit]
    available = stock.available([one.sku for one in shown])
    items = [schemas.product(one.in_language(language), available.get(one.sku, 0)) for one in shown]
    body, headers = paging.answer(items, len(found), page)
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
