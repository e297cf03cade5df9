"""Refusals: one exception with a code and a sentence; each dialect renders it in its own format."""

from __future__ import annotations

from collections.abc import Mapping


class Refused(Exception):
    """A call that is answered with an error and had no effect.

    `status` is the HTTP status, `kind` the type (such as `invalid_request`), `code` the case, `param` the field.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        code: str,
        message: str,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.code, self.message = status, kind, code, message
        self.param, self.headers = param, dict(headers or {})


def invalid(param: str, message: str) -> Refused:
    """422: the field `param` is invalid."""
    return Refused(422, "invalid_request", f"invalid_{param}", message, param=param)


def conflict(code: str, message: str) -> Refused:
    """409: the payment's state does not allow this."""
    return Refused(409, "invalid_state", code, message)


def not_found(what: str) -> Refused:
    """404, with a sentence."""
    return Refused(404, "not_found", "not_found", what)
