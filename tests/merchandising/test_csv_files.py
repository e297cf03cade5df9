"""CSV files of products as they are read: encodings, columns, lines, and cells that a spreadsheet would run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.core import csv_cells
from shop.core.errors import BadInput
from shop.merchandising import csv_file

HEADING = "sku,name,price.TWD\n"


def why(content: bytes) -> str:
    with pytest.raises(BadInput) as refusal:
        csv_file.read(content)
    return refusal.value.message


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_in_utf_8_is_read_with_and_without_a_byte_order_mark(mark: str) -> None:
    sheet = csv_file.read(f'{mark}sku,name\r\nA,"茶壺, blau"\r\n\r\nB,"two\nlines"\r\nC,x\r\n'.encode())
    assert sheet.columns == ["sku", "name"]
    assert [(row.line, row.cells) for row in sheet.rows] == [
        (2, ["A", "茶壺, blau"]),
        (4, ["B", "two\nlines"]),
        (6, ["C", "x"]),
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ((HEADING + "A,Kännchen,5\n").encode("utf-16"), "The file is in UTF-16, and has to be in UTF-8."),
        ((HEADING + "A,Kännchen,5\n").encode("utf-16-le"), "The file is in UTF-16 or is no text"),
        ((HEADING + "A,a,5\nB,Kännchen,5\n").encode("latin-1"), "Line 3 is not in UTF-8, but in another encoding"),
        ((HEADING + "A,茶壺,5\n").encode("big5"), "Line 2 is not in UTF-8"),
        (b"", "The file is empty."),
        (HEADING.encode(), "The file has a heading and no products."),
        (b"sku;name\nA;x\n", "separated by semicolons"),
        (b"sku\tname\nA\tx\n", "separated by tabs"),
        (b"sku,colour\nA,red\n", "There is no column 'colour'. Columns are sku, state, slug,"),
        (b"name\nx\n", "The column sku is missing"),
        (b"sku,name,name\nA,x,y\n", "The column name is there twice."),
        (b'sku,name\nA,"open\nB,x\n', "The file cannot be read from line 2 on"),
        (b"PK\x03\x04\x00\x00", "The file is in UTF-16 or is no text"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    assert reason in why(content)


def test_a_file_of_fifty_thousand_products_is_read_and_one_more_is_refused() -> None:
    lines = [f"P-{number},x,1" for number in range(50_000)]
    assert len(csv_file.read((HEADING + "\n".join(lines)).encode()).rows) == 50_000
    assert "at most 50,000 products" in why((HEADING + "\n".join([*lines, "P,x,1"])).encode())


def test_lines_that_do_not_fit_or_repeat_another_one_are_refused_alone() -> None:
    sheet = csv_file.read(b"sku,slug\nA,a\nB\na,b\nC,A\nD,d\n")
    assert [row.error for row in sheet.rows] == [
        "",
        "The line has 1 cells, and the heading 2.",
        "Line 2 has the same sku.",
        "Line 2 has the same slug.",
        "",
    ]


@given(st.text(alphabet="'=+-@＝ \u200b\t\r\nab1", max_size=8))
def test_no_cell_is_run_and_each_is_read_back_as_it_was(text: str) -> None:
    shown = csv_cells.cell(text)
    assert not shown.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert csv_cells.plain(shown) == text
