"""An account that its owner deletes: what is erased at once, what goes on, and what is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import inspect, select

from shop.accounts import address_book, api_keys, api_sessions, links, people, recovery, sessions, signin
from shop.accounts.api_models import ApiSession
from shop.accounts.decide import LinkPurpose
from shop.accounts.models import AccountLink, Identity, Passkey, SavedAddress, TotpSecret, User
from shop.accounts.permissions import Permission, Role
from shop.checkout import account_cart, claim_orders
from shop.checkout.models import Cart, CartLine
from shop.core import clock
from shop.core.actor import Actor
from shop.core.audit import Act
from shop.core.audit_search import Filters, find
from shop.core.db import db, transaction
from shop.core.errors import BadInput, Refusal
from shop.core.money import Money
from shop.integrity import invariants
from shop.integrity.invariants.scope import Scope
from shop.jobs import retention
from shop.ledger import book, chart, store_credit
from shop.mail.models import Mail
from shop.mail.states import MailKind
from shop.order_notes import notes
from shop.order_notes.models import OrderNote
from shop.orders.models import ERASED, Order
from shop.payments.refunds import requests
from shop.privacy import delete_account
from tests.privacy.people import EMAIL, ORIGIN, PASSWORD, account, deleted, owner
from tests.race_fixtures import Race
from tests.shop_fixtures import PEN, Shop

ADDRESS = dict.fromkeys(address_book.FIELDS, "") | {"name": "Ada Lin", "line1": "12 Yongkang St", "country": "TW"}


def with_everything(*roles: Role) -> int:
    """An account with one row in each table that has personal data of it."""
    user_id = owner(EMAIL, *roles)
    at = clock.now()
    address_book.add(user_id, ADDRESS)
    db.session.rollback()
    user = sessions.snapshot(user_id, account(user_id).session_epoch)
    assert user
    api_sessions.start(user, "curl/8")
    recovery.request(LinkPurpose.RESET, EMAIL, "en")
    with transaction():
        db.session.add(
            Identity(user_id=user_id, issuer="https://login.example", subject="ada", email=EMAIL, added_at=at)
        )
        key = {"credential_id": "c", "public_key": "k", "sign_count": 0, "name": "Ada's phone"}
        db.session.add(Passkey(user_id=user_id, created_at=at, **key))
        db.session.add(TotpSecret(user_id=user_id, secret="s"))
    return user_id


def everywhere(text: str) -> set[str]:
    """Columns of accounts, orders excluded, that contain a text."""
    db.session.rollback()
    found = set()
    for table in db.metadata.sorted_tables:
        if table.name in ("orders", "documents", "mails"):
            continue
        for row in db.session.execute(select(table)):
            found |= {f"{table.name}.{name}" for name, value in row._mapping.items() if text in str(value).lower()}
    return found


def test_name_address_and_every_way_to_sign_in_are_erased_at_once(shop: Shop) -> None:
    user_id = with_everything()
    cart_id = shop.cart((PEN, 1))
    account_cart.remember(user_id, cart_id)
    shop.sweep()
    deleted(user_id)
    tables = (Identity, Passkey, TotpSecret, SavedAddress, ApiSession, Cart, CartLine)
    assert [shop.count(table) for table in tables] == [0] * len(tables)
    left = account(user_id)
    assert (left.name, left.email_verified_at, left.has_password) == ("(deleted)", None, False)
    assert left.deleted_at and left.disabled_at and "@" not in left.email
    assert everywhere("yongkang") == set()
    assert everywhere(EMAIL) <= {"audit_personal.personal"}, "evidence of the operator who created it, for 400 days"
    with pytest.raises(Refusal, match="Wrong e-mail or password"):
        signin.sign_in(EMAIL, PASSWORD, "192.0.2.7")


def test_every_table_with_an_account_is_considered() -> None:
    """A new table that refers to accounts is either emptied by the deletion or has a reason to stay."""
    emptied = {"identities", "passkeys", "recovery_codes", "totp_secrets", "saved_addresses", "api_sessions"}
    closed = {"account_links", "api_keys", "role_requests"}
    kept = {"orders", "store_credits", "credit_holds", "credit_gifts", "note_mentions"}
    referring = {
        table.name
        for table in db.metadata.sorted_tables
        for key in table.foreign_keys
        if key.column.table is inspect(User).local_table
    }
    assert referring == emptied | closed | kept


def test_a_mail_confirms_it_and_the_links_that_were_mailed_before_end(shop: Shop) -> None:
    user_id = with_everything()
    shop.sweep()
    link = db.session.scalars(select(AccountLink.id).where(AccountLink.user_id == user_id)).all()[-1]
    found = links.token(link)
    deleted(user_id)
    db.session.rollback()
    mails = db.session.execute(select(Mail.kind, Mail.recipient)).all()
    assert [tuple(mail) for mail in mails] == [(MailKind.ACCOUNT_DELETED, EMAIL)], "older ones are removed"
    assert found
    with pytest.raises(links.LinkEnded):
        links.read(found[0], found[1])
    shop.sweep()
    assert shop.count(Mail) == 1


def test_orders_go_on_and_are_erased_after_their_time_as_those_of_guests(shop: Shop) -> None:
    user_id = owner()
    order, waiting = shop.paid_order((PEN, 1), customer=user_id), shop.order((PEN, 1), customer=user_id)
    shop.turn(minutes=1)
    deleted(user_id)
    shop.acquirer.capture(shop.payment(waiting).id)
    shop.deliver_webhook(shop.payment(waiting))
    assert shop.state(waiting) == "PAID"
    shop.sweep()
    about_orders = select(Mail.recipient).where(Mail.order_id == waiting.id, Mail.kind == MailKind.PAYMENT_RECEIVED)
    assert list(db.session.scalars(about_orders)) == [EMAIL]
    assert shop.app.test_client().get(f"/orders/{order.token}").status_code == 200
    shop.wait(days=729)
    retention.sweep()
    assert db.session.get_one(Order, order.id, populate_existing=True).name == "Ada"
    shop.wait(days=2)
    retention.sweep()
    db.session.rollback()
    erased = db.session.get_one(Order, order.id, populate_existing=True)
    assert {erased.name, erased.email, erased.line1} == {ERASED}
    shop.sweep()


def test_notes_on_orders_of_a_deleted_account_are_erased_with_the_orders_data(shop: Shop) -> None:
    user_id = owner()
    order = shop.paid_order((PEN, 1), customer=user_id)
    note, withdrawn = (
        notes.write(order.id, text, by=shop.sam, form_key=text) for text in ("Call Ada Lin", "Ada moved to Tainan")
    )
    notes.withdraw(withdrawn, by=shop.sam)
    deleted(user_id)
    shop.wait(days=400)
    late = notes.write(order.id, "Ada asked for her receipt", by=shop.sam, form_key="late")
    shop.wait(days=331)
    retention.sweep()
    stored = select(OrderNote.id, OrderNote.text).where(OrderNote.order_id == order.id).order_by(OrderNote.id)
    assert dict(db.session.execute(stored).tuples().all()) == {note: ERASED, withdrawn: "", late: ERASED}
    remembered = notes.write(order.id, "Ada called again", by=shop.sam, form_key="again")
    shop.wait(days=731)
    retention.sweep()
    assert dict(db.session.execute(stored).tuples().all())[remembered] == ERASED
    withdrawal = find(Filters(acts=[Act.NOTE_WITHDRAWN]), limit=5).rows[0]
    assert not withdrawal.personal
    shop.sweep()


def test_the_address_can_be_registered_again_and_the_new_account_has_nothing_of_the_old_one(shop: Shop) -> None:
    user_id = owner()
    order = shop.paid_order((PEN, 1), customer=user_id, email=EMAIL)
    deleted(user_id)
    again = owner()
    assert again != user_id
    new = account(again)
    assert claim_orders.claimable(new) == 0 and claim_orders.claim_batch(again) == 0
    assert db.session.get_one(Order, order.id, populate_existing=True).user_id == user_id
    deleted(again)


# --- store credit ---


def test_store_credit_is_lost_only_with_the_word_of_the_owner_and_is_booked(shop: Shop) -> None:
    user_id = owner()
    with transaction():
        money = Money(50000, "TWD")
        store_credit.give(user_id, money, key="gift", kind="credit_given", debit=chart.GOODWILL)
    with pytest.raises(Refusal, match="You still have store credit"):
        deleted(user_id)
    assert account(user_id).deleted_at is None and shop.credit(user_id) == 50000
    deleted(user_id, gives_up_credit=True)
    assert shop.credit(user_id) == 0
    assert book.balance(chart.store_credit(user_id), "TWD") == Money(0, "TWD")
    assert book.balance(chart.FORFEITED_CREDIT, "TWD") == Money(-50000, "TWD")


def test_an_unpaid_order_that_holds_store_credit_comes_first(shop: Shop) -> None:
    user_id = owner()
    with transaction():
        store_credit.give(user_id, Money(5000, "TWD"), key="gift", kind="credit_given", debit=chart.GOODWILL)
    order = shop.order(customer=user_id, credit=5000)
    with pytest.raises(Refusal, match="An unpaid order uses your store credit"):
        deleted(user_id, gives_up_credit=True)
    shop.cancel(order)
    shop.sweep()
    deleted(user_id, gives_up_credit=True)
    assert book.balance(chart.FORFEITED_CREDIT, "TWD") == Money(-5000, "TWD")


def paid_by_credit(shop: Shop, user_id: int) -> Order:
    """A paid order of the account: NT$50 of it are store credit, which is all that the account has."""
    with transaction():
        store_credit.give(user_id, Money(5000, "TWD"), key="gift", kind="credit_given", debit=chart.GOODWILL)
    return shop.paid_order((PEN, 1), customer=user_id, credit=5000)


def test_store_credit_is_refunded_to_a_bank_once_the_account_is_deleted(shop: Shop) -> None:
    user_id = owner()
    order = paid_by_credit(shop, user_id)
    deleted(user_id)
    with pytest.raises(Refusal, match="has deleted it"):
        requests.request(shop.capture(order), None, reason="", by=shop.sam, to="store_credit")
    refunds = {one.capture_id is None: one for one in requests.request_all(order.id, reason="", by=shop.sam)}
    assert (refunds[True].destination, refunds[True].awaits_approval) == ("bank", True)
    shop.sweep()
    assert shop.state(order) == "PARTIALLY_REFUNDED"
    requests.approve(refunds[True].id, shop.kim)
    shop.sweep()
    assert shop.state(order) == "REFUNDED" and shop.credit(user_id) == 0
    assert book.balance(chart.store_credit(user_id), "TWD") == Money(0, "TWD")
    assert book.balance(chart.MANUAL_REFUNDS, "TWD") == Money(-5000, "TWD")
    shop.is_sound()
    requests.bounced(refunds[True].id, shop.kim)
    assert shop.state(order) == "PARTIALLY_REFUNDED"
    assert book.balance(chart.MANUAL_REFUNDS, "TWD") == Money(0, "TWD")
    shop.is_sound()


def test_a_refund_of_store_credit_that_an_older_version_does_not_book_is_found(shop: Shop) -> None:
    user_id = owner()
    order = paid_by_credit(shop, user_id)
    deleted(user_id)
    refund = requests.request_credit(order.id, Money(5000, "TWD"), reason="", by=shop.sam)
    booked_as = db.text("UPDATE refunds SET state = :state WHERE id = :id")
    with transaction():
        db.session.execute(booked_as, {"state": "DONE", "id": refund.id})
    for scope in (invariants.EVERYTHING, Scope([order.id])):
        assert refund.id in [row.get("id") for row in invariants.check_one("6 ledger", scope).rows]
    assert invariants.check_one("6 ledger", Scope([order.id + 1])).holds
    with transaction():
        db.session.execute(booked_as, {"state": "PENDING", "id": refund.id})


def test_a_refund_to_store_credit_that_is_under_way_is_rejected_when_the_account_is_deleted(shop: Shop) -> None:
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 0}
    user_id = owner()
    order = paid_by_credit(shop, user_id)
    refund = requests.request_credit(order.id, Money(5000, "TWD"), reason="", by=shop.sam)
    deleted(user_id)
    requests.approve(refund.id, shop.kim)
    shop.sweep()
    [rejected] = shop.refunds(order)
    assert (rejected.state, rejected.rejected_code) == ("REJECTED", "no_account")
    assert shop.state(order) == "PAID" and shop.credit(user_id) == 0
    again = requests.request_credit(order.id, Money(5000, "TWD"), reason="", by=shop.sam)
    assert again.destination == "bank"


# --- staff ---


def test_the_last_admin_stays_and_another_one_may_go(shop: Shop) -> None:
    first = owner("first@example.com", Role.ADMIN)
    with pytest.raises(Refusal, match="You are the only admin"):
        deleted(first)
    assert account(first).roles == [Role.ADMIN]
    second = shop.staff("second", role=Role.ADMIN)[0]
    deleted(first)
    assert account(first).roles == []
    with pytest.raises(Refusal, match="The owner has deleted this account"):
        people.enable(first, by=second, reason="by mistake")
    [entry] = find(Filters(acts=(Act.ACCOUNT_DELETED,)), limit=5).rows
    assert (entry.actor, entry.subject_id) == (f"staff:{first}", str(first))


def test_of_two_admins_who_go_at_the_same_time_one_stays(shop: Shop, race: Race) -> None:
    admins = [actor.user_id for actor in shop.staff("a", "b", role=Role.ADMIN)]

    def go(number: int) -> None:
        delete_account._delete(admins[number] or 0, 0, gives_up_credit=False, language="en")

    results = race(go, 2)
    assert sorted(type(one).__name__ for one in results) == ["NoneType", "Refusal"]
    assert sum(account(one or 0).deleted_at is None for one in admins) == 1


def test_api_keys_of_staff_end_with_the_account(shop: Shop) -> None:
    user_id = owner(EMAIL, Role.FINANCE)
    made = api_keys.make("Ada's script", [Permission.ORDER_READ], by=Actor.staff(user_id))
    assert api_keys.find(made.text).account.id == user_id
    deleted(user_id)
    with pytest.raises(api_sessions.InvalidToken):
        api_keys.find(made.text)


# --- confirmation ---


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"typed": "bob@example.com"}, "confirmation"), ({"typed": "\U0001f600"}, "confirmation")]
    + [({"password": "something wrong"}, "current"), ({"password": ""}, "current")],
)
def test_without_the_address_and_the_password_nothing_happens(shop: Shop, changed: dict[str, str], field: str) -> None:
    user_id = owner()
    confirmed = {"typed": EMAIL, "password": PASSWORD} | changed
    with pytest.raises(BadInput) as refused:
        delete_account.delete_account(user_id, **confirmed, gives_up_credit=False, origin=ORIGIN)
    assert refused.value.details["field"] == field and account(user_id).deleted_at is None


def test_a_deletion_that_was_confirmed_before_the_password_was_changed_is_refused(shop: Shop) -> None:
    user_id = owner()
    epoch = account(user_id).session_epoch
    with transaction():
        sessions.end_all(user_id)
    with pytest.raises(Refusal, match="changed at the same time"):
        delete_account._delete(user_id, epoch, gives_up_credit=False, language="en")
    assert account(user_id).deleted_at is None


def test_a_link_of_the_account_is_not_mailed_after_the_deletion(shop: Shop) -> None:
    user_id = owner()
    recovery.request(LinkPurpose.RESET, EMAIL, "en")
    deleted(user_id)
    shop.turn(seconds=5)
    assert set(db.session.scalars(select(Mail.kind))) == {MailKind.ACCOUNT_DELETED}
    assert clock.now() - account(user_id).deleted_at < timedelta(minutes=1)  # type: ignore[operator]
