"""Parsing of settlement files: any bytes give lines or the error that they are malformed."""

from __future__ import annotations

import codecs
import json
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop import settings
from shop.core.money import Money
from shop.payments.providers.interface import Malformed, PaymentProvider, SettlementLine
from shop.payments.providers.kpay import KPay
from shop.payments.providers.paypay import PayPay
from shop.payments.providers.stripe import Stripe
from shop.payments.providers.tpay import Tpay

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
KPAY_LINE = {
    "id": "capture_cap_1",
    "type": "capture",
    "payment": "pay_1",
    "reference": "P1",
    "capture": "cap_1",
    "refund": None,
    "refund_reference": None,
    "dispute": None,
    "amount": 120000,
    "fee": 3360,
    "net": 116640,
    "currency": "TWD",
    "at": "2026-01-31T12:00:00Z",
}
STRIPE_ENTRY = {
    "id": "txn_1",
    "object": "balance_transaction",
    "amount": 3800,
    "created": int(NOON.timestamp()),
    "currency": "usd",
    "fee": 110,
    "net": 3690,
    "reporting_category": "charge",
    "source": {"id": "ch_1", "metadata": {"reference": "P1"}},
    "type": "charge",
}
TPAY_FILE = (
    "TradeTime,Type,MerchantTradeNo,TradeNo,ChargeNo,RefundNo,TradeAmt,Fee,NetAmt,Currency\r\n"
    "2026/01/31 20:00:00,Sale,P1,T1,C1,,1200,33,1167,TWD\r\n"
    "2026/01/31 20:00:00,Void,P1,T1,C1,R1,-1200,-33,-1167,TWD\r\n"
)
PAYPAY_FILE = (
    "決済番号,加盟店ID,屋号,店舗ID,取引ステータス,取引日時,取引金額,手数料,入金額,通貨,支払い方法,マーチャント決済ID,マーチャント返金ID\r\n"
    "77,demo,デモショップ,,取引完了,2026/01/31 21:00:00,5600,111,5489,JPY,PayPay残高,P1,\r\n"
    "77,demo,デモショップ,,返金完了,2026/01/31 21:00:00,-600,0,-600,JPY,PayPay残高,P1,R1\r\n"
)
FILES: dict[type[PaymentProvider], bytes] = {
    KPay: json.dumps([KPAY_LINE]).encode(),
    Stripe: json.dumps({"data": [STRIPE_ENTRY]}).encode(),
    Tpay: TPAY_FILE.encode(),
    PayPay: PAYPAY_FILE.encode("shift_jis"),
}


def provider(cls: type[PaymentProvider]) -> PaymentProvider:
    config = settings.read(cls.SETTINGS, {"SETTLED_ENV": "development"}) | dict.fromkeys(
        ("ACQUIRER_URL", "ACQUIRER_PUBLIC_URL"), "http://a.example"
    )
    return cls(config, lambda: None)  # type: ignore[arg-type, return-value]


def read(cls: type[PaymentProvider], raw: bytes) -> list[SettlementLine]:
    return provider(cls).read_settlement(raw)


def test_every_acquirers_file_is_translated_to_the_same_lines() -> None:
    assert read(KPay, FILES[KPay]) == [
        SettlementLine("capture_cap_1", "capture", "cap_1", twd(120000), twd(3360), NOON, "P1", "cap_1")
    ]
    assert read(Stripe, FILES[Stripe]) == [
        SettlementLine("txn_1", "capture", "ch_1", Money(3800, "USD"), Money(110, "USD"), NOON, "P1", "ch_1")
    ]
    sale, void = read(Tpay, FILES[Tpay])
    assert sale == SettlementLine("Sale:C1:", "capture", "C1", twd(120000), twd(3300), NOON, "P1", "C1")
    assert void == SettlementLine("Void:C1:R1", "void", "R1", twd(-120000), twd(-3300), NOON, "P1", "C1", "P1:R1")
    taken, back = read(PayPay, FILES[PayPay])
    assert taken == SettlementLine("capture:77:", "capture", "77", yen(5600), yen(111), NOON, "P1", "77")
    assert back == SettlementLine("refund:77:R1", "refund", "R1", yen(-600), yen(0), NOON, "P1")


def test_stripes_payouts_are_left_out_and_other_charges_are_unknown_lines() -> None:
    payout = STRIPE_ENTRY | {"id": "txn_2", "reporting_category": "payout", "source": "po_1"}
    fee = STRIPE_ENTRY | {
        "id": "txn_3",
        "reporting_category": "fee",
        "source": None,
        "amount": -200,
        "fee": 0,
        "net": -200,
    }
    lines = read(Stripe, json.dumps({"data": [payout, fee]}).encode())
    assert [(line.id, line.kind, line.about, line.money) for line in lines] == [
        ("txn_3", "other", "", Money(-200, "USD"))
    ]


def test_a_byte_order_mark_is_no_part_of_the_file() -> None:
    for cls in (KPay, Stripe, Tpay):
        assert read(cls, codecs.BOM_UTF8 + FILES[cls]) == read(cls, FILES[cls])


def test_a_name_may_have_characters_that_only_windows_has() -> None:
    raw = PAYPAY_FILE.replace("デモショップ", "髙橋①～店").encode("cp932")
    assert read(PayPay, raw) == read(PayPay, FILES[PayPay])


def test_one_page_of_a_longer_list_is_not_the_whole_day() -> None:
    with pytest.raises(Malformed, match="one page of a longer list"):
        read(Stripe, json.dumps({"data": [STRIPE_ENTRY], "has_more": True}).encode())


@pytest.mark.parametrize(
    ("cls", "old", "new", "output"),
    [
        (Tpay, "Void", "Adjustment", "row 3 says 'Adjustment', which we do not know"),
        (Tpay, "33,1167,TWD", "33,1167,EUR", "row 2 says 'EUR'"),
        (Tpay, "2026/01/31 20:00:00,Void", "2026-01-31 20:00:00,Void", "row 3: time data '2026-01-31 20:00:00'"),
        (PayPay, "返金完了", "調整", "row 3 says '調整'"),
        (PayPay, ",5600,", ",5600.5,", "row 2: an amount that is not whole"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(cls: type[PaymentProvider], old: str, new: str, output: str) -> None:
    charset = "cp932" if cls is PayPay else "utf-8"
    with pytest.raises(Malformed, match=re.escape(output)):
        read(cls, FILES[cls].decode(charset).replace(old, new).encode(charset))


def twd(amount: int) -> Money:
    return Money(amount, "TWD")


def yen(amount: int) -> Money:
    return Money(amount, "JPY")


@pytest.mark.parametrize("cls", FILES)
def test_a_day_without_movements_is_a_file_without_lines(cls: type[PaymentProvider]) -> None:
    empty = {KPay: b"[]", Stripe: b'{"data":[]}'}
    assert read(cls, empty.get(cls, FILES[cls].partition(b"\n")[0])) == []


@pytest.mark.parametrize(
    ("cls", "old", "new"),
    [
        (KPay, b'"net": 116640', b'"net": 116641'),
        (KPay, b'"amount": 120000', b'"amount": 120000.0'),
        (KPay, b'"amount": 120000', b'"amount": true'),
        (KPay, b'"amount": 120000', b'"amount": "1e5"'),
        (KPay, b'"type": "capture"', b'"type": "gift"'),
        (KPay, b'"at": "2026-01-31T12:00:00Z"', b'"at": "2026-01-31T12:00:00"'),
        (KPay, b'"capture": "cap_1"', b'"capture": {"id": 1}'),
        (KPay, b'"currency": "TWD"', b'"currency": "NT$"'),
        (Stripe, b'"net": 3690', b'"net": 3691'),
        (Stripe, b'"reporting_category": "charge"', b'"reporting_category": ["charge"]'),
        (Stripe, b'"id": "ch_1"', b'"id": "ch\\u0000"'),
        (Tpay, b",1200,33,", b",1200.005,33.005,"),
        (Tpay, b",1200,", b",12OO,"),
        (Tpay, b"Sale", b"Gift"),
        (Tpay, b",TWD\r\n", b"\r\n"),
        (Tpay, b",TWD\r\n", b",TWD,more\r\n"),
        (Tpay, b"2026/01/31", b"2026/02/31"),
        (PayPay, "取引完了".encode("shift_jis"), "取引完了".encode()),
        (PayPay, b",5600,", b",5600.5,"),
        (PayPay, b",JPY,", b",yen,"),
    ],
)
def test_what_cannot_be_or_does_not_add_up_is_malformed(cls: type[PaymentProvider], old: bytes, new: bytes) -> None:
    raw = FILES[cls].replace(old, new)
    assert raw != FILES[cls]
    with pytest.raises(Malformed):
        read(cls, raw)


@pytest.mark.parametrize("cls", FILES)
@given(data=st.data())
def test_any_bytes_are_lines_or_malformed(cls: type[PaymentProvider], data: st.DataObject) -> None:
    """Random bytes, and real files with random bytes in them."""
    whole = FILES[cls]
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    noise = data.draw(st.binary(max_size=40) | st.text(max_size=20).map(str.encode))
    for raw in (noise, whole[:start] + noise + whole[end:]):
        try:
            lines = read(cls, raw)
        except Malformed:
            continue
        assert all(isinstance(line, SettlementLine) for line in lines)


@given(amount=st.integers(1, 10**9), kind=st.sampled_from(["capture", "void"]))
@pytest.mark.parametrize("cls", FILES)
def test_a_fee_is_the_contracts_share_to_the_nearest_whole_unit(
    cls: type[PaymentProvider], amount: int, kind: str
) -> None:
    adapter = provider(cls)
    unit = adapter.capabilities.fee_unit
    share = amount * int(adapter.config[f"{adapter.NAME.upper()}_FEE_BPS"])
    fee = adapter.contract_fee(kind, amount)
    assert fee is not None and fee % unit == 0
    assert abs(abs(fee) * 10_000 - share) * 2 <= 10_000 * unit
    assert (fee >= 0) == (kind == "capture") or fee == 0


def test_without_a_known_contract_no_fee_is_compared() -> None:
    adapter = provider(KPay)
    assert (adapter.contract_fee("refund", 100), adapter.contract_fee("refund_failed", 100)) == (0, None)
    adapter.config = {**adapter.config, "KPAY_FEE_BPS": 0}
    assert adapter.contract_fee("capture", 120000) is None
