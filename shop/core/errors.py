"""Refusals: what the shop says no to, in the words of whoever reads it."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """The request is understood and refused; nothing has changed.

    `code` is for machines, `message` is a sentence for people, `status` the HTTP status, `details` what a page may
    show.
    """

    status = 409

    def __init__(self, code: str, message: str, *, status: int | None = None, **details: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.details = code, message, details
        if status is not None:
            self.status = status


class BadInput(Refusal):
    """What was sent cannot be used as it is."""

    status = 422


class Away(Refusal):
    """Something that we need is away for the moment; trying again later helps."""

    status = 503

    def __init__(self, code: str, message: str, *, retry_after: int = 5, **details: Any) -> None:
        super().__init__(code, message, **details)
        self.retry_after = retry_after
