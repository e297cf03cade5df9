"""CSV files of products: columns, and reading with a sentence for each thing that cannot be used. Pure."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from shop.catalogue import product_fields
from shop.core import csv_cells, text
from shop.core.errors import BadInput
from shop.merchandising import opening_stock

MOST_LINES = 50_000
LARGEST_FILE = 10 * 2**20
"""Bytes."""
_SAVE_AS = "In Excel choose “CSV UTF-8”; in LibreOffice choose the character set UTF-8."
_OTHER_ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32", b"+/v": "UTF-7"}


@dataclass(frozen=True)
class Row:
    """A line of the file after the heading. `line` counts from 1 and is that on which a cell with several lines begins.
    `error` says why the line is refused before it is looked at.
    """

    line: int
    cells: list[str]
    error: str = ""


@dataclass(frozen=True)
class Sheet:
    """The columns and the lines of a file."""

    columns: list[str]
    rows: list[Row]


def columns() -> tuple[str, ...]:
    """The columns that a file may have, in the order of an export. Only `sku` has to be there."""
    return ("sku", "state", *product_fields.names(), opening_stock.COLUMN)


def read(content: bytes) -> Sheet:
    """Read a file. Raises BadInput `bad_file` with the reason and, where there is one, the line."""
    reader = csv.reader(io.StringIO(_decoded(content), newline=""), strict=True)
    rows: list[Row] = []
    heading: list[str] = []
    begins, skus, slugs = 1, dict[str, int](), dict[str, int]()
    try:
        for cells in reader:
            line, begins = begins, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not heading:
                heading = _heading(cells)
                continue
            if len(rows) >= MOST_LINES:
                raise BadInput("bad_file", f"A file has at most {MOST_LINES:,} products. Divide it into several files.")
            rows.append(_row(line, [csv_cells.plain(cell) for cell in cells], heading, skus, slugs))
    except csv.Error as error:
        raise BadInput("bad_file", f"The file cannot be read from line {begins} on: {error}.") from error
    if not heading:
        raise BadInput("bad_file", f"The file is empty. Its first line names the columns: {', '.join(columns())}.")
    if not rows:
        raise BadInput("bad_file", "The file has a heading and no products.")
    return Sheet(heading, rows)


def _decoded(content: bytes) -> str:
    if len(content) > LARGEST_FILE:
        raise BadInput("bad_file", f"The file is larger than {LARGEST_FILE // 2**20} MB.")
    other = next((name for mark, name in _OTHER_ENCODINGS.items() if content.startswith(mark)), "")
    if other or b"\0" in content:
        raise BadInput(
            "bad_file", f"The file is in {other or 'UTF-16 or is no text'}, and has to be in UTF-8. {_SAVE_AS}"
        )
    body = content.removeprefix(csv_cells.BYTE_ORDER_MARK)
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        message = f"Line {line} is not in UTF-8, but in another encoding such as Latin-1. {_SAVE_AS}"
        raise BadInput("bad_file", message) from error


def _heading(cells: list[str]) -> list[str]:
    """The names of the columns. Raises BadInput."""
    names, known = [text.tidy(cell) for cell in cells], columns()
    if len(names) == 1 and (";" in names[0] or "\t" in cells[0]):
        separator = "semicolons" if ";" in names[0] else "tabs"
        raise BadInput("bad_file", f"The columns are separated by {separator}. Save the file with commas.")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BadInput("bad_file", f"There is no column {unknown[0][:40]!r}. Columns are {', '.join(known)}.")
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise BadInput("bad_file", f"The column {twice} is there twice.")
    if "sku" not in names:
        raise BadInput("bad_file", "The column sku is missing: it says which product a line is about.")
    return names


def _row(line: int, cells: list[str], heading: list[str], skus: dict[str, int], slugs: dict[str, int]) -> Row:
    """A line, with an error if its cells do not fit the heading or repeat an earlier line."""
    if len(cells) != len(heading):
        return Row(line, cells[:1], f"The line has {len(cells)} cells, and the heading {len(heading)}.")
    given = dict(zip(heading, cells, strict=True))
    for name, lines, value in (
        ("sku", skus, text.plain(given["sku"]).upper()),
        ("slug", slugs, text.plain(given.get("slug", "")).lower()),
    ):
        first = lines.setdefault(value, line) if value else line
        if first != line:
            return Row(line, cells, f"Line {first} has the same {name}.")
    return Row(line, cells)
