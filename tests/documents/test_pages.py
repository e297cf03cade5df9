"""Pages and downloads of documents, and who may see them; documents in mails."""

from __future__ import annotations

import pytest
from markupsafe import escape

from shop.core.db import db, transaction
from shop.documents import pdf
from shop.documents.models import Document, DocumentFile, DocumentLine, DocumentYear
from shop.mail import compose
from shop.mail.models import Mail
from shop.mail.states import MailKind
from shop.orders.models import Order
from shop.pricing import change
from tests.documents.conftest import documents, refund
from tests.documents.test_pdf import text_of
from tests.shop_fixtures import PEN, Shop
from tests.web.conftest import Visitor


def test_a_paid_order_links_to_its_receipt(shop: Shop, visitor: Visitor) -> None:
    order = shop.paid_order((PEN, 2))
    page = visitor.get(f"/orders/{order.token}").text
    assert f'href="/orders/{order.token}/receipt"' in page
    found = visitor.get(f"/orders/{order.token}/receipt", follow_redirects=True)
    assert found.request.path == f"/orders/{order.token}/documents/{documents(order)[0].number}"
    for text in ("Receipt 20", "Settled Demo Shop", "Tax number: 00000000", "Pen", "NT$180", order.number):
        assert text in found.text


def test_an_unpaid_order_has_no_receipt(shop: Shop, visitor: Visitor) -> None:
    order = shop.order((PEN, 1))
    assert "/receipt" not in visitor.get(f"/orders/{order.token}").text
    assert visitor.get(f"/orders/{order.token}/receipt").status_code == 404
    assert visitor.get(f"/orders/{order.token}/receipt.pdf").status_code == 404


def test_the_pdf_is_a_download_that_no_cache_keeps(shop: Shop, visitor: Visitor) -> None:
    order = shop.paid_order((PEN, 1))
    found = visitor.get(f"/orders/{order.token}/receipt.pdf", follow_redirects=True)
    number = documents(order)[0].number
    assert (found.status_code, found.mimetype) == (200, "application/pdf")
    assert found.headers["Content-Disposition"] == f"inline; filename=receipt-{number}.pdf"
    assert found.headers["Cache-Control"] == "no-store"
    assert number in text_of(found.data)


def test_a_network_that_requests_many_pdfs_in_a_minute_has_to_wait(shop: Shop, visitor: Visitor) -> None:
    shop.app.config["RATE_LIMITS"] = True
    for _ in range(60):
        assert visitor.get("/orders/nobody/documents/1.pdf").status_code == 404, "nothing is made of it"
    order = shop.paid_order((PEN, 1))
    visitor.get(f"/orders/{order.token}/receipt")
    path = f"/orders/{order.token}/documents/{documents(order)[0].number}"
    answers = [visitor.get(f"{path}.pdf") for _ in range(61)]
    assert {answer.status_code for answer in answers[:60]} == {200}
    assert answers[60].status_code == 429 and int(answers[60].headers["Retry-After"]) > 0
    assert visitor.get(path).status_code == 200, "the page needs no typesetting"


@pytest.mark.parametrize("ending", ["", ".pdf"])
def test_a_document_of_another_order_is_404(shop: Shop, visitor: Visitor, ending: str) -> None:
    mine, other = shop.paid_order((PEN, 1)), shop.paid_order((PEN, 1))
    shop.sweep()
    theirs = documents(other)[0].number
    assert visitor.get(f"/orders/{other.token}/documents/{theirs}{ending}").status_code == 200
    for path in (f"{mine.token}/documents/{theirs}", f"{mine.token}/documents/1", f"nobody/documents/{theirs}"):
        assert visitor.get(f"/orders/{path}{ending}").status_code == 404


def test_the_page_of_a_receipt_links_to_credit_notes(shop: Shop, visitor: Visitor) -> None:
    order = shop.paid_order((PEN, 2))
    refund(shop, order, 5000)
    receipt, note = documents(order)
    page = visitor.get(f"/orders/{order.token}/documents/{receipt.number}").text
    assert f'href="/orders/{order.token}/documents/{note.number}">Credit note {note.number}</a>' in page
    page = visitor.get(f"/orders/{order.token}/documents/{note.number}").text
    assert f"This credit note reduces the amount of receipt {receipt.number}." in page


def test_a_credit_note_has_an_address_of_its_own(shop: Shop, visitor: Visitor) -> None:
    order = shop.paid_order((PEN, 2))
    refund(shop, order, 5000)
    receipt, note = documents(order)
    page = visitor.get(f"/orders/{order.token}/credit-notes/{note.number}", follow_redirects=True)
    assert page.status_code == 200 and f"Credit note {note.number}" in page.text
    found = visitor.get(f"/orders/{order.token}/credit-notes/{note.number}.pdf", follow_redirects=True)
    assert (found.status_code, found.mimetype) == (200, "application/pdf")
    assert found.headers["Cache-Control"] == "no-store"
    assert f"Credit note {note.number}" in text_of(found.data)


@pytest.mark.parametrize("ending", ["", ".pdf"])
def test_a_credit_note_of_another_order_and_a_number_of_none_are_404(shop: Shop, visitor: Visitor, ending: str) -> None:
    order, other = shop.paid_order((PEN, 2)), shop.paid_order((PEN, 2))
    failed = refund(shop, order, 5000)
    shop.acquirer.refund_becomes(failed, "REJECTED")
    shop.turn(days=1, minutes=1)
    receipt, note, cancelled = documents(order)
    paths = [f"{order.token}/credit-notes/{number}" for number in (receipt.number, cancelled.number, "1", "2026-0")]
    paths += [f"{token}/credit-notes/{note.number}" for token in (other.token, order.token[:-1], "nobody")]
    for path in paths:
        assert visitor.get(f"/orders/{path}{ending}").status_code == 404, path
    assert visitor.get(f"/orders/{order.token}/credit-notes/{note.number}{ending}").status_code == 303


@pytest.mark.parametrize("number", ["%00", "a%00b", "%0A", "%F0%9F%8D%B5", "..%2F1", "%ff", "1" * 3000, "' OR 1=1 --"])
def test_a_number_that_is_none_is_404(shop: Shop, visitor: Visitor, number: str) -> None:
    order = shop.paid_order((PEN, 1))
    for kind in ("documents", "credit-notes"):
        for ending in ("", ".pdf"):
            assert visitor.get(f"/orders/{order.token}/{kind}/{number}{ending}").status_code == 404
    for path in ("receipt", "receipt.pdf"):
        assert visitor.get(f"/orders/{number}/{path}").status_code == 404
        assert visitor.get(f"/orders/{order.token}/{path}?x={number}").status_code in (303, 404)


ENTERED = {
    "the longest name": "王" * 100,
    "right to left": "שלום עולם · مرحبا",
    "emoji": "May 🍵👩‍👩‍👧",
    "Typst's import": '#import "x": *',
    "a name that is too long": "王" * 200,
    "a control character": "a\x1bb",
    "NUL": "a\x00b",
}
REFUSED = ("a name that is too long", "a control character", "NUL")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("case", ENTERED)
def test_a_name_of_any_kind_is_on_the_receipt_or_refused_at_the_checkout(
    shop: Shop, visitor: Visitor, case: str
) -> None:
    visitor.add(PEN)
    answer = visitor.checkout(name=ENTERED[case])
    assert (answer.status_code != 303) == (case in REFUSED) and answer.status_code < 500
    for order in db.session.scalars(db.select(Order)).all():
        shop.acquirer.capture(shop.payment(order).id)
        shop.deliver_webhook(shop.payment(order))
        page = visitor.get(f"/orders/{order.token}/receipt", follow_redirects=True)
        assert page.status_code == 200 and str(escape(ENTERED[case])) in page.text
        made = visitor.get(f"/orders/{order.token}/receipt.pdf", follow_redirects=True)
        assert made.status_code == 200 and f"Order {order.number}" in text_of(made.data)


def attached(kind: MailKind) -> list[tuple[str | None, bytes]]:
    """Names and contents of what the newest mail of a kind attaches."""
    db.session.rollback()
    mail = db.session.scalars(db.select(Mail).where(Mail.kind == kind).order_by(Mail.id.desc()).limit(1)).one()
    message = compose.message(mail)
    return [(one.get_filename(), one.get_content()) for one in message.iter_attachments()]


def test_mails_about_payments_and_refunds_have_the_documents_attached(shop: Shop) -> None:
    order = shop.paid_order((PEN, 2))
    failed = refund(shop, order, 5000)
    shop.acquirer.refund_becomes(failed, "REJECTED")
    shop.turn(days=1, minutes=1)
    receipt, note, cancelled = documents(order)
    assert attached(MailKind.PAYMENT_RECEIVED) == [(f"receipt-{receipt.number}.pdf", pdf.of(receipt))]
    assert attached(MailKind.REFUND_SENT) == [(f"credit-note-{note.number}.pdf", pdf.of(note))]
    assert attached(MailKind.REFUND_FAILED) == [(f"cancellation-{cancelled.number}.pdf", pdf.of(cancelled))]
    assert attached(MailKind.ORDER_PLACED) == []


@pytest.mark.parametrize("language", ["en", "zh_Hant", "zh_Hans", "ja"])
def test_an_order_that_costs_nothing_mails_no_text_that_its_customer_typed(shop: Shop, language: str) -> None:
    """Anyone with a discount code can place one for the address of another person."""
    change.set_code(change.NewCode("ALL", percent=100, use_limit=5))
    order = shop.order((PEN, 1), code="ALL")
    with transaction():
        order.locale = language
    shop.sweep()
    assert [one.kind for one in documents(order)] == ["receipt"]
    assert attached(MailKind.PAYMENT_RECEIVED) == []
    mail = db.session.scalars(db.select(Mail).where(Mail.kind == MailKind.PAYMENT_RECEIVED)).one()
    content, expected = compose.content(mail), FREE[language]
    assert [content.subject, content.text.partition("\n")[0]] == [one.format(order.number) for one in expected]
    assert compose.attachments(mail) == []
    assert not any(word in content.text for word in ("attached", "收據", "收据", "領収書"))


FREE = {
    "en": ("Order {} is confirmed", "Thank you. Your order {} is confirmed. There is nothing to pay."),
    "zh_Hant": ("訂單 {} 已確認", "謝謝您，訂單 {} 已確認，無需付款。"),
    "zh_Hans": ("订单 {} 已确认", "感谢您的购买！订单 {} 已确认，无需付款。"),
    "ja": (
        "【ご注文 {}】ご注文が確定しました",
        "ありがとうございます。ご注文（{}）が確定しました。お支払いは不要です。",
    ),
}


def test_a_mail_without_its_document_issues_it(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    shop.sweep()
    with transaction():
        for each in (DocumentFile, DocumentLine, Document, DocumentYear):
            db.session.execute(db.delete(each))
    [(name, made)] = attached(MailKind.PAYMENT_RECEIVED)
    assert (name, made) == (f"receipt-{documents(order)[0].number}.pdf", pdf.stored(documents(order)[0].number))


def test_the_refund_of_a_second_payment_has_no_attachment(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    shop.turn(minutes=1)
    assert attached(MailKind.REFUND_SENT) == []


def test_development_lists_the_attachments_of_mails(shop: Shop, visitor: Visitor) -> None:
    order = shop.paid_order((PEN, 1))
    shop.sweep()
    newest = visitor.get("/dev/mail.json").get_json()[0]
    assert newest["attachments"] == [f"receipt-{documents(order)[0].number}.pdf"]
    assert newest["attachments"][0] in visitor.get(f"/dev/mail/{newest['id']}").text
