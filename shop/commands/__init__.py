"""What staff do from a shell; one file per subject."""

from __future__ import annotations

from typing import Any

import click


class Person(click.ParamType[str]):
    """Who does something. One person is one name, however it is written: a second one must not be the first again."""

    name = "person"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        who = " ".join(str(value).split()).casefold()
        if not who.isprintable() or not who:
            self.fail("Please say who you are.", param, ctx)
        return who
