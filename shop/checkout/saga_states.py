"""States and steps of a saga."""

from __future__ import annotations

from enum import StrEnum

PAY_LATER = "later"
"""In place of a provider: the order starts no payment, because its customer chooses how to pay afterwards."""


class SagaState(StrEnum):
    """State of a saga. The values are stored and must not change."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    UNDONE = "UNDONE"


class SagaStep(StrEnum):
    """Step of a checkout, in the order in which they are done."""

    RESERVE_STOCK = "reserve_stock"
    USE_CODE = "use_code"
    HOLD_CREDIT = "hold_credit"
    OPEN_PAYMENT = "open_payment"
