"""Mails in development: list, page and JSON."""

from __future__ import annotations

from tests.shop_fixtures import PEN, Shop
from tests.web.conftest import Visitor


def test_the_newest_mail_comes_first_and_its_html_is_in_a_sandboxed_frame(shop: Shop, visitor: Visitor) -> None:
    order = shop.order((PEN, 1))
    shop.turn(seconds=1)
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    shop.turn(seconds=1)
    page = visitor.get("/dev/mail")
    assert page.status_code == 200
    assert page.headers["Cache-Control"] == "no-store"
    assert page.text.index("Payment received for order") < page.text.index(f"Your order {order.number}")
    [newest, first] = visitor.get("/dev/mail.json").get_json()
    assert (newest["kind"], first["kind"]) == ("payment_received", "order_placed")
    wanted = {"to": "ada@example.com", "order": order.number, "language": "en", "attachments": []}
    assert {name: first[name] for name in wanted} == wanted
    one = visitor.get(f"/dev/mail/{first['id']}").text
    assert "<iframe" in one and 'sandbox="allow-popups' in one and "allow-scripts" not in one
    assert f"/orders/{order.token}" in one


def test_an_unknown_mail_is_404(shop: Shop, visitor: Visitor) -> None:
    assert visitor.get("/dev/mail/M1").status_code == 404
