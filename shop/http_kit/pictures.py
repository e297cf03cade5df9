"""Addresses of pictures in templates: illustrations under static/, and uploaded pictures in their widths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, current_app, request

from shop.catalogue.pictures import PREFIX
from shop.core.languages import ENGLISH
from shop.http_kit.template_helpers import asset
from shop.media import files


def init_app(app: Flask) -> None:
    """Give the templates of `app` these functions."""
    app.jinja_env.globals.update(media=media, picture_text=picture_text, srcset=srcset, thumb=thumb)


def media(digest: str, width: int) -> str:
    """Address of the file of an uploaded picture with this width in its name."""
    base = current_app.config["MEDIA_URL"]
    return f"{request.script_root if base.startswith('/') else ''}{base}{digest}-{width}.webp"


def srcset(image: Mapping[str, Any]) -> str:
    """The files of an uploaded picture with their widths, for the attribute `srcset`."""
    of = files.widths(image["width"])
    return ", ".join(f"{media(image['digest'], name)} {width}w" for name, width in of.items())


def thumb(image: str) -> str:
    """Address of the small picture of a line: of an illustration, or of an uploaded picture (`media/<digest>`)."""
    return media(image.removeprefix(PREFIX), files.WIDTHS[0]) if image.startswith(PREFIX) else asset(image)


def picture_text(image: Mapping[str, Any], locale: str, name: str) -> str:
    """The text of an uploaded picture in a language, else in English, else the name of the product."""
    return str(image["alt"].get(locale) or image["alt"].get(ENGLISH) or name)
