"""Files of uploaded pictures. Their names contain a digest of their content, so browsers keep them for ever."""

from __future__ import annotations

from flask import Blueprint, Response, abort, send_file

from shop.http_kit.access import access
from shop.media import files

bp = Blueprint("media", __name__)
_YEAR = 365 * 24 * 3600


@bp.get("/media/<name>")
@access("public")
def show(name: str) -> Response:
    """A file of a picture."""
    path = files.named(name)
    if path is None or not path.is_file():
        abort(404)
    response = send_file(path, mimetype="image/webp", etag=False, last_modified=None, conditional=False)
    response.headers["Cache-Control"] = f"public, max-age={_YEAR}, immutable"
    return response
