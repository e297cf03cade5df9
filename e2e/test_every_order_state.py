"""Order page of every sample, in every language: accessible, as wide as its window, and without console errors."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.console_checks import is_sound
from shop.core.languages import OFFERED, tag
from shop.web import dev_sample_orders


@pytest.mark.sample(1)
@pytest.mark.parametrize("locale", OFFERED)
@pytest.mark.parametrize("name", dev_sample_orders.SAMPLES)
def test_the_order_page_is_sound_in_every_state_and_language(visitor: Visitor, name: str, locale: str) -> None:
    page = visitor.shop().visit(f"/dev/states/{name}?lang={tag(locale)}").page
    expect(page.locator("#order-status")).to_have_attribute("data-state", dev_sample_orders.key_of(name))
    expect(page.locator("html")).to_have_attribute("lang", tag(locale))
    for details in page.locator("details").all():
        details.evaluate("details => { details.open = true }")
    is_sound(page)


@pytest.mark.parametrize("path", ["/dev/states?lang=ja", "/dev/states?scheme=dark", "/dev/mails?lang=zh-Hant"])
def test_the_pages_of_samples_are_sound(visitor: Visitor, path: str) -> None:
    is_sound(visitor.shop().visit(path).page)
