"""Resource: the blueprint of one resource of the API, with strict parsing and answers that are plain dicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, wraps
from typing import Any, TypeVar

from flask import Request, Response, g, jsonify, request
from flask_smorest import Blueprint
from flask_smorest.utils import load_info_from_docstring
from marshmallow import EXCLUDE, RAISE, Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import UnsupportedMediaType

from shop.api.problems import problems
from shop.core import strict_json
from shop.core.errors import BadInput, Refusal
from shop.core.text import is_unusable

V = TypeVar("V", bound=Callable[..., Any])
ROOT = "/api/v1"
_MOST_ERRORS = 50
"""Fields that an answer names."""
_CODES = {
    "This field is required.": "missing",
    "This field is not known.": "unknown_field",
    "Unknown field.": "unknown_field",
}
_WORDS = {
    "Missing data for required field.": "This field is required.",
    "Field may not be null.": "This must not be null.",
    "Unknown field.": "This field is not known.",
    "Invalid input type.": "This must be an object.",
}
_UNUSABLE = "This contains characters that cannot be printed."
_PARTS = {"query": "parameter", "headers": "parameter"}


class Invalid(BadInput):
    """Fields of the request are not valid; `errors` names them."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__("invalid", "Fields of the request are not valid; `errors` names them.", errors=errors)


@cache
def _instance(schema: type[Schema]) -> Schema:
    return schema()


class StrictParser(FlaskParser):
    """Parser that refuses unknown fields, what is not JSON, and values that JSON does not state as they are needed."""

    DEFAULT_UNKNOWN_BY_LOCATION = {"json": None, "query": RAISE, "headers": EXCLUDE}

    def _get_schema(self, argmap: Any, req: Request) -> Schema:
        """The one instance of a schema, which keeps nothing of a request. Webargs would make one for each request."""
        return _instance(argmap)

    def load_json(self, req: Request, schema: Schema) -> Any:
        """The body; an empty object without one. Raises Refusal `unreadable_json`, and UnsupportedMediaType (415)."""
        raw = req.get_data(cache=True)
        if not raw:
            return {}
        if not req.is_json:
            raise UnsupportedMediaType
        try:
            return strict_json.loads(raw)
        except ValueError as error:
            raise Refusal("unreadable_json", f"The body is not JSON: {error}."[:200]) from error

    def load_querystring(self, req: Request, schema: Schema) -> Any:
        """The parameters of the query. Raises Invalid for one with control characters."""
        found = [name for name, value in req.args.items(multi=True) if is_unusable(name) or is_unusable(value)]
        if found:
            raise Invalid([{"parameter": name[:100], "code": "invalid", "detail": _UNUSABLE} for name in found])
        g.api_takes_query = True
        return super().load_querystring(req, schema)

    def handle_error(self, error: ValidationError, req: Request, schema: Schema, **_: Any) -> Any:
        """Raise Invalid with one entry for each problem."""
        found: list[dict[str, str]] = []
        for location, messages in error.normalized_messages().items():  # type: ignore[no-untyped-call]
            for path, message in _flat(messages):
                where = _PARTS.get(location, "pointer")
                name = ".".join(path) if where == "parameter" else "".join(f"/{_escaped(part)}" for part in path)
                words = _WORDS.get(message, message)
                code = _CODES.get(words, "invalid")
                if code == "unknown_field" and location == "query":
                    names = sorted(one.data_key or key for key, one in schema.fields.items())
                    words = f"This is not known. Parameters are {', '.join(names)}."
                found.append({where: name, "code": code, "detail": words})
        raise Invalid(found[:_MOST_ERRORS])


class Resource(Blueprint):  # type: ignore[misc]
    """Blueprint of a resource, for example `Resource("Orders", __name__, "/orders", "…")`.

    `arguments` and `response` are those of flask-smorest. The parsed body comes before the values of the address. A
    view returns a dict, a list or a Response, or a tuple of one of them and headers; schemas of answers are
    documentation, because dumping a hundred rows through them costs six times as much.
    """

    ARGUMENTS_PARSER = StrictParser()

    def __init__(self, title: str, import_name: str, path: str, description: str) -> None:
        name = f"api_{title.lower().replace(' ', '_')}"
        super().__init__(name, import_name, url_prefix=f"{ROOT}{path}", description=description)
        self.title = title

    def add_url_rule(
        self, rule: str, endpoint: str | None = None, view_func: Any = None, *args: Any, **more: Any
    ) -> None:
        """Register a view under the title of the resource."""
        super().add_url_rule(rule, endpoint, view_func, *args, **more | {"tags": [self.title]})

    def _store_endpoint_docs(
        self, endpoint: str, obj: Any, parameters: Any, tags: list[str], *, methods: Sequence[str], **_: Any
    ) -> None:
        """Keep what is documented of a view without copying it: the document is made from a copy of all."""
        [method] = methods
        words = load_info_from_docstring(obj.__doc__, delimiter=self.DOCSTRING_INFO_DELIMITER)
        own = obj._apidoc | {"docstring": words, "tags": tags}
        self._docs[endpoint] = {method.lower(): own, "parameters": parameters}

    def route(self, rule: str, **more: Any) -> Callable[[V], V]:
        """Register a view at an address of the resource."""
        found: Callable[[V], V] = super().route(rule, **more)
        return found

    def alt_response(self, status_code: int, **more: Any) -> Callable[[V], V]:
        """Document another answer."""
        found: Callable[[V], V] = super().alt_response(status_code, **more)
        return found

    def doc(self, **more: Any) -> Callable[[V], V]:
        """Add to the documentation of a view."""
        found: Callable[[V], V] = super().doc(**more)
        return found

    def arguments(self, schema: Any, *, location: str = "json", **more: Any) -> Callable[[V], V]:
        """Parse the body or the query, and document the problems of that."""
        parse = super().arguments(schema, location=location, **more)
        codes = ("invalid", "unreadable_json", "bad_request", "too_large", "unsupported_content")

        def decorator(view: V) -> V:
            parsed = parse(problems(*(codes if location == "json" else codes[:1]))(view))
            return _without_query(view, parsed, schema) if location == "query" else parsed  # type: ignore[no-any-return]

        return decorator

    def response(self, status_code: int, schema: Any = None, **more: Any) -> Callable[[V], V]:
        """Document the answer, and make it from what the view returns."""
        document = super().response(status_code, schema, **more)

        def decorator(view: V) -> V:
            @wraps(view)
            def answered(*args: Any, **values: Any) -> Response:
                _refuse_parameters()
                body, given = _unpacked(view(*args, **values))
                if isinstance(body, Response):
                    body.headers.extend(given)
                    body.headers.setdefault("Cache-Control", "no-store")
                    return body
                answer = Response() if body is None else jsonify(body)
                answer.status_code = status_code
                answer.headers.extend({"Cache-Control": "no-store", **given})
                return answer

            documented = document(problems("invalid")(answered))
            answered._apidoc = documented._apidoc  # type: ignore[attr-defined] # without its wrapper, which does nothing
            return answered  # type: ignore[return-value]

        return decorator


def _without_query(view: V, parsed: V, schema: type[Schema]) -> V:
    """The view with the defaults of its parameters, which are loaded once, for requests without a query."""
    try:
        defaults = schema().load({})
    except ValidationError:  # one is required
        return parsed

    @wraps(parsed)
    def called(*args: Any, **values: Any) -> Any:
        return parsed(*args, **values) if request.query_string else view(dict(defaults), *args, **values)

    return called  # type: ignore[return-value]


def _refuse_parameters() -> None:
    """Refuse parameters of a call that takes none. Raises Invalid."""
    if request.query_string and request.args and "api_takes_query" not in g:
        words = "This is not known. The call takes no parameters."
        raise Invalid([{"parameter": name[:100], "code": "unknown_field", "detail": words} for name in request.args])


def _unpacked(result: Any) -> tuple[Any, Mapping[str, str]]:
    return result if isinstance(result, tuple) else (result, {})


def _flat(messages: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Path and text of each message of marshmallow's nested ones."""
    if isinstance(messages, dict):
        for name, inner in messages.items():
            yield from _flat(inner, path if name == "_schema" else (*path, str(name)))
    elif isinstance(messages, list):
        for inner in messages:
            yield from _flat(inner, path)
    else:
        yield path, str(messages)


def _escaped(part: str) -> str:
    """A part of a JSON Pointer (RFC 6901)."""
    return part.replace("~", "~0").replace("/", "~1")[:100]


def pointed(refusal: Refusal, pointer: str) -> Refusal:
    """The refusal with the field of the body that it is about."""
    refusal.details["errors"] = [{"pointer": pointer, "code": refusal.code, "detail": str(refusal.message)}]
    return refusal


def wants_body() -> bool:
    """True if the request has a body."""
    return bool(request.content_length)
