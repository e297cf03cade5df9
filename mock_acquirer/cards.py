"""Test cards and decline codes. A card number is read once, looked up and discarded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mock_acquirer.digits import narrow
from mock_acquirer.language import marked

GENERIC_CODE = "generic_decline"
GENERIC = marked("Your card was declined. Please use another card.")
DECLINES: dict[str, tuple[str, str]] = {
    # code: (class, sentence for the shopper); lost, stolen and fraudulent cards show the generic sentence
    "generic_decline": ("other_method", GENERIC),
    "insufficient_funds": ("other_method", marked("Insufficient funds. Please use another card.")),
    "lost_card": ("never_retry", GENERIC),
    "stolen_card": ("never_retry", GENERIC),
    "fraudulent": ("never_retry", GENERIC),
    "expired_card": ("fix_input", marked("This card has expired. Check the date or use another card.")),
    "incorrect_cvc": ("fix_input", marked("The security code is incorrect. Check it and try again.")),
    "incorrect_number": ("fix_input", marked("The card number is incorrect. Check it and try again.")),
    "processing_error": ("retry_later", marked("Your bank could not process the payment. Try again in a moment.")),
    "no_answer": ("retry_later", marked("Your bank did not respond. Try again in a moment.")),
    "card_velocity_exceeded": (
        "retry_later",
        marked("This card has been used too often. Try again later or use another card."),
    ),
    "authentication_required": ("authenticate", marked("Your bank could not confirm your identity. Try again.")),
    "authentication_failed": (
        "authenticate",
        marked("Your bank could not confirm your identity. Use another card."),
    ),
}
MOST_DECLINES = 3


@dataclass(frozen=True)
class Card:
    """Test card: `decline` at once, or `challenge` first; then `after` (a decline code, or empty for approval).

    `plan` is a fragment of a fault plan that the card arms on the payment.
    """

    number: str
    slug: str
    note: str
    decline: str = ""
    challenge: bool = False
    after: str = ""
    plan: dict[str, Any] = field(default_factory=dict)

    @property
    def brand(self) -> str:
        return next(brand for start, brand in BRANDS if self.number.startswith(start))

    @property
    def last4(self) -> str:
        return self.number[-4:]

    @property
    def spaced(self) -> str:
        return " ".join(self.number[at : at + 4] for at in range(0, len(self.number), 4))


BRANDS = (("4", "visa"), ("5", "mastercard"), ("37", "amex"), ("35", "jcb"))

CARDS: tuple[Card, ...] = (
    Card("4242424242424242", "visa", "Approved"),
    Card("5555555555554444", "mastercard", "Approved (Mastercard)"),
    Card("378282246310005", "amex", "Approved (American Express)"),
    Card("3566002020360505", "jcb", "Approved (JCB)"),
    Card("4000000000000002", "generic_decline", "Declined", "generic_decline"),
    Card("4000000000009995", "insufficient_funds", "Declined: insufficient funds", "insufficient_funds"),
    Card("4000000000009987", "lost_card", "Declined: lost card", "lost_card"),
    Card("4000000000009979", "stolen_card", "Declined: stolen card", "stolen_card"),
    Card("4000000000000069", "expired_card", "Declined: expired card", "expired_card"),
    Card("4000000000000127", "incorrect_cvc", "Declined: wrong security code", "incorrect_cvc"),
    Card("4000000000000119", "processing_error", "Declined: processing error", "processing_error"),
    Card("4000000000006975", "card_velocity_exceeded", "Declined: card used too often", "card_velocity_exceeded"),
    Card("4242424242424241", "incorrect_number", "Declined: wrong card number", "incorrect_number"),
    Card("4000000000003220", "challenge", "3-D Secure, then approved", challenge=True),
    Card("4000008400001629", "challenge_declined", "3-D Secure, then declined", "", True, "generic_decline"),
    Card("4000008400001280", "challenge_error", "3-D Secure fails with an error", "authentication_required"),
    Card("4000000000000259", "dispute", "Approved; a dispute (chargeback) follows after one minute"),
    Card("4000000000002685", "dispute_inquiry", "Approved; a bank inquiry follows after one minute"),
    Card("4000000000007726", "refund_pending", "Approved; refunds stay pending for one minute"),
    Card("4000000000005126", "refund_fails", "Approved; refunds succeed, then fail after one minute"),
    Card(
        "4000009100000010",
        "api_times_out",
        "Approved; the shop's next API call times out",
        plan={"api": [{"op": "*", "do": "timeout_after_commit", "times": 1}]},
    ),
    Card(
        "4000009100000028",
        "api_times_out_not_found",
        "No response from the bank; the shop's next API call times out, and the query after it finds nothing",
        "no_answer",
        plan={
            "api": [
                {"op": "*", "do": "timeout_before_commit", "times": 1},
                {"op": "*", "do": "stale_query", "shows": "nothing", "times": 1},
            ]
        },
    ),
    Card(
        "4000009100000036",
        "pays_after_expiry",
        "Approved ten minutes after the session has expired",
        plan={"pay": {"late_after_expiry": "PT10M"}},
    ),
    Card("4000009100000044", "charged_twice", "Charged twice", plan={"pay": {"double": True}}),
    Card("4000009100000051", "no_webhook", "Approved; no webhook arrives", plan={"hook": [{"drop": 1_000_000}]}),
    Card(
        "4000009100000069",
        "webhook_first",
        "Approved; the webhook arrives before the browser is redirected",
        plan={"hook": [{"before_response": True}]},
    ),
    Card("4000009100000077", "amount_differs", "Charged 100 minor units too much", plan={"pay": {"amount_delta": 100}}),
)


class Wallet(Card):
    """Wallet payment: always approved and without a number; faults of the payment apply."""

    @property
    def brand(self) -> str:
        return "wallet"


WALLET = Wallet("", "wallet", "Paid from the wallet")
BY_NUMBER = {card.number: card for card in CARDS}
BY_SLUG = {card.slug: card for card in CARDS}


def only_digits(entered: str) -> str:
    """The number in ASCII digits, without spaces and dashes."""
    return "".join(letter for letter in narrow(entered) if letter != "-" and not letter.isspace())


def passes_luhn(number: str) -> bool:
    """True when the check digit is right."""
    digits = [int(digit) for digit in reversed(number)]
    return sum(digits[0::2]) % 10 == -sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2]) % 10


def read_number(entered: str) -> tuple[Card | None, str]:
    """(the test card, "") or (None, the reason as a sentence)."""
    number = only_digits(entered)
    if not number:
        return None, marked("Enter the card number.")
    if not (number.isascii() and number.isdigit() and 12 <= len(number) <= 19):
        return None, marked("A card number has 12 to 19 digits.")
    card = BY_NUMBER.get(number)
    if card is not None:
        return card, ""
    if not passes_luhn(number):
        return None, marked("This card number is not valid. Check the digits.")
    return None, marked("This test acquirer accepts only the test cards listed below. Never enter a real card number.")
