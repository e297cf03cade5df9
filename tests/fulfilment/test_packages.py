"""Packages of orders on both databases: packed, shipped, cancelled, each unit once, also by several people at once."""

from __future__ import annotations

from collections import Counter

import pytest

from shop.accounts import rights
from shop.accounts.permissions import Role
from shop.core.actor import Actor
from shop.core.audit import Act
from shop.core.audit_search import find as entries
from shop.core.db import db
from shop.core.errors import BadInput, Refusal
from shop.fulfilment import find, write
from shop.fulfilment.carriers import Tracking
from shop.fulfilment.models import Shipment
from shop.fulfilment.refusals import FormUsed, NothingToPack, NotPacked, NotShippable, SeveralPackages, TooMany
from shop.orders import address, events
from tests.fulfilment.conftest import DHL, fulfilment, mia, pack, places, refund, ship
from tests.race_fixtures import Race
from tests.shop_fixtures import KETTLE, PEN, Shop


def kinds(order_id: int) -> list[str]:
    """Kinds of the events of packages."""
    db.session.rollback()
    return [event.kind for event in events.since(order_id, 0) if event.kind.startswith("shipment.")]


def test_an_order_is_shipped_in_two_packages(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 2), (PEN, 1))
    assert pack(shop, order, "form-1", kettle=1) == 1 and fulfilment(order) == "PARTLY_PACKED"
    ship(shop, order, 1)
    assert fulfilment(order) == "PARTLY_SHIPPED" and places(order) == {KETTLE: (0, 1, 1), PEN: (0, 0, 1)}
    assert pack(shop, order, "form-2") == 2
    ship(shop, order, 2, Tracking("", "", ""))
    assert fulfilment(order) == "SHIPPED" and find.shipped(order.id) == {KETTLE: 2, PEN: 1}
    assert kinds(order.id) == ["shipment.packed", "shipment.shipped"] * 2
    acts = [(entry.act, entry.actor) for entry in entries().rows[:4]]
    assert acts == [(Act.SHIPMENT_SHIPPED, str(mia(shop))), (Act.SHIPMENT_PACKED, str(mia(shop)))] * 2
    assert "JD0146" not in str([event.data for event in events.since(order.id, 0)])


def test_a_form_that_is_sent_twice_packs_once_and_with_other_units_is_refused(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 2))
    assert [pack(shop, order, kettle=1) for _ in range(2)] == [1, 1]
    with pytest.raises(FormUsed):
        pack(shop, order, kettle=2)
    assert places(order) == {KETTLE: (1, 0, 1)} and kinds(order.id) == ["shipment.packed"]
    for _ in range(2):
        ship(shop, order)
    assert kinds(order.id) == ["shipment.packed", "shipment.shipped"]
    with pytest.raises(NotPacked, match="shipped already"):
        ship(shop, order, tracking=Tracking("UPS", "1", ""))
    with pytest.raises(BadInput):
        pack(shop, order, "", kettle=1)


def test_a_package_is_cancelled_until_it_has_left(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 2))
    pack(shop, order)
    for _ in range(2):
        write.cancel(order.id, 1, by=mia(shop))
    assert fulfilment(order) == "TO_PACK" and kinds(order.id) == ["shipment.packed", "shipment.cancelled"]
    with pytest.raises(NotPacked, match="cancelled already"):
        ship(shop, order)
    assert pack(shop, order, "form-2") == 2
    ship(shop, order, 2)
    with pytest.raises(NotPacked, match="shipped already"):
        write.cancel(order.id, 2, by=mia(shop))
    with pytest.raises(Refusal, match="no package 7"):
        write.cancel(order.id, 7, by=mia(shop))


def test_eight_people_pack_the_same_units_and_one_does(shop: Shop, race: Race) -> None:
    order, by = shop.paid_order((KETTLE, 2)), mia(shop)
    order_id = order.id  # the session of the test is not for the callers, who would load the row in it
    done = race(lambda number: write.pack(order_id, {KETTLE: 2}, by=by, form_key=f"form-{number}"))
    assert Counter(type(one) for one in done) == {int: 1, TooMany: 7}, done
    assert places(order) == {KETTLE: (2, 0, 0)} and shop.count(Shipment) == 1


def test_eight_people_pack_one_unit_each_and_no_unit_is_packed_twice(shop: Shop, race: Race) -> None:
    order, by = shop.paid_order((KETTLE, 3)), mia(shop)
    order_id = order.id
    done = race(lambda number: write.pack(order_id, {KETTLE: 1}, by=by, form_key=f"form-{number}"))
    assert sorted(one for one in done if isinstance(one, int)) == [1, 2, 3]
    assert places(order) == {KETTLE: (3, 0, 0)}


def test_eight_forms_with_one_key_pack_and_ship_an_order_once(shop: Shop, race: Race) -> None:
    order, by = shop.paid_order((KETTLE, 2), (PEN, 1)), mia(shop)
    order_id = order.id
    assert race(lambda _: write.pack_and_ship(order_id, DHL, by=by, form_key="form-1")) == [1] * 8
    assert kinds(order.id) == ["shipment.shipped"] and fulfilment(order) == "SHIPPED"


def test_a_package_that_is_shipped_and_cancelled_at_once_is_one_of_both(shop: Shop, race: Race) -> None:
    order, by = shop.paid_order((KETTLE, 1)), mia(shop)
    pack(shop, order)
    order_id = order.id

    def act(number: int) -> None:
        if number % 2:
            write.ship(order_id, 1, DHL, by=by)
        else:
            write.cancel(order_id, 1, by=by)

    done = race(act)
    assert Counter(type(one) for one in done) == {type(None): 4, NotPacked: 4}, done
    assert fulfilment(order) in ("SHIPPED", "TO_PACK") and len(kinds(order.id)) == 2


def test_after_a_refund_in_full_nothing_is_packed_or_shipped(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 2))
    pack(shop, order, kettle=1)
    refund(shop, order, order.total_amount)
    assert shop.state(order) == "REFUNDED"
    for act in (lambda: pack(shop, order, "form-2"), lambda: ship(shop, order)):
        with pytest.raises(NotShippable, match="The order is refunded."):
            act()
    with pytest.raises(SeveralPackages):
        write.pack_and_ship(order.id, DHL, by=mia(shop), form_key="form-3")
    write.cancel(order.id, 1, by=mia(shop))
    assert places(order) == {KETTLE: (0, 0, 2)}


def test_an_unpaid_order_is_not_packed(shop: Shop) -> None:
    with pytest.raises(NotShippable, match="waiting payment"):
        pack(shop, shop.order((KETTLE, 1)))


def test_units_that_were_refunded_are_taken_out_and_the_rest_is_shipped(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 2), (PEN, 1))
    refund(shop, order, shop.price(KETTLE).amount)
    assert shop.state(order) == "PARTIALLY_REFUNDED"
    for _ in range(2):
        write.withdraw(order.id, {KETTLE: 1}, seen={KETTLE: 0}, by=mia(shop), reason="refunded")
    with pytest.raises(TooMany):
        pack(shop, order, kettle=2)
    assert write.pack_and_ship(order.id, DHL, by=mia(shop), form_key="form-1") == 1
    assert fulfilment(order) == "SHIPPED" and find.shipped(order.id) == {KETTLE: 1, PEN: 1}
    assert kinds(order.id) == ["shipment.lines_withdrawn", "shipment.shipped"]
    with pytest.raises(BadInput):
        write.withdraw(order.id, {PEN: 0, KETTLE: 0}, seen={}, by=mia(shop), reason=" ")


def test_all_that_is_left_is_shipped_in_the_package_that_is_packed(shop: Shop) -> None:
    order, by = shop.paid_order((KETTLE, 2), (PEN, 1)), mia(shop)
    pack(shop, order, "form-1", kettle=2)
    with pytest.raises(SeveralPackages):
        write.pack_and_ship(order.id, DHL, by=by, form_key="form-2")
    pack(shop, order, "form-3", pen=1)
    with pytest.raises(SeveralPackages):
        write.pack_and_ship(order.id, DHL, by=by, form_key="form-2")
    ship(shop, order, 1)
    other = Tracking("UPS", "1Z", "")
    assert [write.pack_and_ship(order.id, other, by=by, form_key="form-2") for _ in range(2)] == [2, 2]
    assert fulfilment(order) == "SHIPPED"
    with pytest.raises(NothingToPack):
        write.pack_and_ship(order.id, DHL, by=by, form_key="form-4")


def test_a_mistyped_tracking_number_is_corrected_with_a_reason_and_once(shop: Shop) -> None:
    order, by = shop.paid_order((KETTLE, 1)), mia(shop)
    pack(shop, order)
    right = Tracking("UPS", "1Z", "https://www.ups.com/track?tracknum=1Z")
    with pytest.raises(Refusal, match="Only a package that has left"):
        write.change_tracking(order.id, 1, right, by=by, reason="a typing error")
    ship(shop, order)
    for _ in range(2):
        write.change_tracking(order.id, 1, right, by=by, reason="a typing error")
    package = find.package(order.id, 1)
    assert package and (package.carrier, package.tracking_number) == ("UPS", "1Z")
    entry, *others = entries().rows
    assert (entry.act, entry.reason) == (Act.TRACKING_CHANGED, "a typing error")
    assert others[0].act == Act.SHIPMENT_SHIPPED
    assert kinds(order.id) == ["shipment.packed", "shipment.shipped", "shipment.tracking_changed"]


def test_only_merchandisers_pack_and_ship(shop: Shop) -> None:
    order = shop.paid_order((KETTLE, 1))
    pack(shop, order)
    for role in set(Role) - {Role.MERCHANDISER}:
        by = shop.colleague(role, role)
        for act in (
            lambda by=by: write.pack(order.id, {KETTLE: 1}, by=by, form_key="form-2"),
            lambda by=by: write.ship(order.id, 1, DHL, by=by),
            lambda by=by: write.pack_and_ship(order.id, DHL, by=by, form_key="form-2"),
            lambda by=by: write.cancel(order.id, 1, by=by),
            lambda by=by: write.change_tracking(order.id, 1, DHL, by=by, reason="x"),
            lambda by=by: write.withdraw(order.id, {KETTLE: 1}, seen={KETTLE: 0}, by=by, reason="x"),
        ):
            with pytest.raises(rights.Forbidden):
                act()
    assert fulfilment(order) == "PACKED"


def test_the_address_changes_until_the_order_is_packed(shop: Shop) -> None:
    customer = shop.customer()
    order, by = shop.paid_order((KETTLE, 1), customer=customer), Actor.customer(customer)
    where = address.Address("Ada", "2 Main St", "", "Taipei", "106", "TW")
    address.change(order.id, where, by=by)
    pack(shop, order)
    with pytest.raises(Refusal, match="packed or shipped"):
        address.change(order.id, address.Address("Ada", "3 Main St", "", "Taipei", "106", "TW"), by=by)
    write.cancel(order.id, 1, by=mia(shop))
    address.change(order.id, address.Address("Ada", "3 Main St", "", "Taipei", "106", "TW"), by=by)
