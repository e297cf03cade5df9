"""Settings of periods in days, beside those of `shop.settings`."""

from __future__ import annotations

from shop.setting_kinds import Setting

PERIODS: tuple[Setting, ...] = (
    Setting(
        "GUEST_DATA_DAYS",
        "730",
        "Days after which name, postal address and e-mail address of a guest's ended order are erased.",
        int,
        least=30,
    ),
    Setting(
        "RETURN_DAYS",
        "14",
        "Days after the payment, or after the last package left, in which a customer can request a return on the order "
        "page; staff can do it later.",
        int,
        least=1,
    ),
    Setting("EXPORT_DAYS", "7", "Days for which exported files of orders are kept.", int, least=1),
)
