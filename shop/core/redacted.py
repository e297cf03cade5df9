"""Headers and bodies of webhooks and API calls for readers, without secrets, signatures and card numbers. Pure, in
linear time.

Anyone can send a body: names may be escaped, repeated or nested. So values are redacted by name in what was parsed,
and a body that cannot be parsed is cut off after the first name of a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from shop.core import logs, strict_json

SECRET = re.compile("signature|authorization|cookie|secret|token|password|checkmac|api_?key|^otp$", re.I)
"""Names of headers and fields whose values are not shown contain one of these."""
REDACTED = "[redacted]"
MOST_FIELDS = 1000
_LONGEST_NAME = 100
_DEEPEST_PATH = 10
_ESCAPE = re.compile(r"\\u00([0-9a-f]{2})", re.I)
_PLAIN_NAME = re.compile(r"[\w.\[\]-]{1,64}")


def headers(stored: Mapping[str, str]) -> dict[str, str]:
    """The stored headers, with signatures and secrets redacted."""
    return {name: REDACTED if SECRET.search(name) else logs.scrub_text(value) for name, value in stored.items()}


def body(raw: bytes) -> str:
    """The body as text; bytes that are no UTF-8 are replaced, and secrets, signatures and card numbers redacted.
    JSON with something to redact is written anew.
    """
    text, found = raw.decode(errors="replace"), _json(raw)
    if found is None:
        return _form(text) if _is_form(text) else _unparsed(text)
    shown = _redacted(found)
    return text if shown == found and _unparsed(text) == text else json.dumps(shown, ensure_ascii=False, indent=2)


def fields(raw: bytes) -> list[tuple[str, str]]:
    """Path and value of each field of a JSON or form body, redacted as in `body`; empty if it is neither. At most
    MOST_FIELDS. Nesting below the tenth level stays as it is.
    """
    found, text = _json(raw), raw.decode(errors="replace")
    if found is None:
        found = dict(parse_qsl(_form(text))) if _is_form(text) else {}
    return list(islice(_fields(_redacted(found)), MOST_FIELDS))


def _json(raw: bytes) -> dict[str, Any] | list[Any] | None:
    try:
        found = strict_json.loads(raw)
    except ValueError:
        return None
    return found if isinstance(found, dict | list) else None


def _redacted(value: Any) -> Any:
    """A parsed value, whose depth is limited, with every value under the name of a secret redacted."""
    if isinstance(value, dict):
        return {
            logs.scrub_text(name): REDACTED if SECRET.search(name) else _redacted(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_redacted(inner) for inner in value]
    if isinstance(value, str):
        return _unparsed(value) if value.lstrip()[:1] in ("{", "[") else logs.scrub_text(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    shown = logs.scrub_text(str(value)) if is_number else ""
    return shown if is_number and shown != str(value) else value


def _is_form(text: str) -> bool:
    return "=" in text and text.lstrip("\ufeff \t\r\n")[:1] not in ("{", "[")


def _form(text: str) -> str:
    return "&".join(map(_form_field, text.split("&")))


def _form_field(text: str) -> str:
    name, equals, value = text.partition("=")
    if SECRET.search(unquote_plus(name)):
        return f"{name}={REDACTED}" if equals and _PLAIN_NAME.fullmatch(unquote_plus(name)) else REDACTED
    plain = unquote_plus(value)
    return logs.scrub_text(text) if _redacted(plain) == plain else f"{logs.scrub_text(name)}={_redacted(plain)}"


def _unparsed(text: str) -> str:
    """The text up to the first name of a secret, without card numbers. Escapes of ASCII characters are resolved."""
    plain = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), text)
    name = SECRET.search(plain)
    if name is None:
        return text if logs.scrub_text(plain) == plain else logs.scrub_text(plain)
    return logs.scrub_text(plain[: name.end()]) + f" {REDACTED}"


def _fields(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not inner or depth == _DEEPEST_PATH:
        yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return
    for name, one in inner:
        yield from _fields(one, f"{path}.{str(name)[:_LONGEST_NAME]}".lstrip("."), depth + 1)
