"""Pages of PayPay's codes and wallet."""

from __future__ import annotations

from mock_acquirer import qr
from tests.acquirer.conftest import RETURN, World
from tests.acquirer.paypay.client import Merchant


def test_the_codes_page_shows_a_code_that_leads_to_paying(acquirer: World, merchant: Merchant) -> None:
    code = merchant.code()
    page = acquirer.browser.get(f"/pay/{code['id']}")
    assert qr.picture(code["deeplink"]).replace("&", "&amp;") in page.text or qr.picture(code["deeplink"]) in page.text
    assert "Simulate scan" in page.text and f'action="/pay/{code["id"]}/wallet"' in page.text
    paid = acquirer.submit(code, "wallet")
    assert (paid.status_code, paid.headers["Location"]) == (303, RETURN)
    assert merchant.shown(code)["status"] == "COMPLETED"


def test_no_page_of_a_code_can_be_reached_out_of_turn(acquirer: World, merchant: Merchant) -> None:
    code = merchant.code()
    assert acquirer.submit(code, "card", number="4242424242424242").status_code == 404
    assert acquirer.browser.get(f"/pay/{code['id']}/challenge").status_code == 303
    merchant.pay(code)
    for page in ("", "/wallet", "/challenge"):
        assert acquirer.browser.get(f"/pay/{code['id']}{page}").headers["Location"].endswith("/result")
    by_card = acquirer.open()
    assert acquirer.browser.get(f"/pay/{by_card['id']}/wallet").status_code == 404


def test_a_customer_cancels_in_the_wallet(acquirer: World, merchant: Merchant) -> None:
    code = merchant.code()
    left = acquirer.submit(code, "cancel")
    assert (left.status_code, left.headers["Location"]) == (303, RETURN)
    assert merchant.shown(code)["status"] == "CANCELED"


def test_a_code_without_a_way_back_ends_on_its_own_page(acquirer: World, merchant: Merchant) -> None:
    for form, says in (("wallet", "Payment accepted"), ("cancel", "Payment cancelled")):
        code = merchant.code(redirectUrl=None)
        assert acquirer.submit(code, form).headers["Location"].endswith(f"/pay/{code['id']}/result")
        page = acquirer.browser.get(f"/pay/{code['id']}/result")
        assert says in page.text and "Return to shop" not in page.text


def test_a_refused_wallet_says_so_and_may_try_again(acquirer: World, merchant: Merchant) -> None:
    acquirer.faults(pay={"decline": "insufficient_funds", "times": 1})
    code = merchant.code()
    assert acquirer.submit(code, "wallet").headers["Location"].endswith(f"/pay/{code['id']}")
    assert "The wallet did not pay" in acquirer.browser.get(f"/pay/{code['id']}").text
    assert acquirer.submit(code, "wallet").headers["Location"] == RETURN
