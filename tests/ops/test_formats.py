"""Texts of the console that are put into each row of a list."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup

from shop.ops.formats import chip, labelled, moment
from tests.shop_fixtures import Shop


def test_a_chip_escapes_a_text_and_an_equal_text_that_is_safe_does_not_change_that() -> None:
    assert chip(Markup("<b>")) == '<span class="chip calm"><b></span>'
    assert chip("<b>", "bad") == '<span class="chip bad">&lt;b&gt;</span>'
    assert chip("<b>") == '<span class="chip calm">&lt;b&gt;</span>'


def test_a_time_is_shown_in_the_zone_of_the_shop_with_utc_beside_it(shop: Shop) -> None:
    shop.app.config["SHOP_TIME_ZONE"] = "Asia/Taipei"
    at = datetime(2026, 1, 2, 22, 30, 5, 999, UTC)
    shown = '<time datetime="2026-01-02T22:30:05Z" title="2026-01-02 22:30:05 UTC">2026-01-03 06:30:05</time>'
    assert moment(at) == shown and moment(None) == '<span class="soft">–</span>'


def test_each_cell_has_the_heading_of_its_column_and_nothing_else_changes() -> None:
    columns = [("No.", ""), ('"A" & B', "amount")]
    rows = Markup('<tr><th scope="row">1</th><td class="x">&lt;td&gt;</td><td>more</td></tr><tr><td>2</td></tr>')
    assert labelled(rows, columns) == (
        '<tr><th scope="row">1</th><td data-label="&#34;A&#34; &amp; B" class="x">&lt;td&gt;</td><td>more</td></tr>'
        '<tr><td data-label="No.">2</td></tr>'
    )
    assert labelled("<td>", columns) == "&lt;td&gt;", "a text that is not marked as safe"  # type: ignore[arg-type]
