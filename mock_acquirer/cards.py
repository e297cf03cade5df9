"""The test cards and the decline codes. A number is read once, looked up, and forgotten."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

GENERIC_CODE = "generic_decline"
GENERIC = "Your card was declined. Please use another card."
DECLINES: dict[str, tuple[str, str]] = {
    # code: (class, what the shopper reads); lost, stolen and fraudulent cards read as the generic sentence
    "generic_decline": ("other_method", GENERIC),
    "insufficient_funds": ("other_method", "There is not enough money on this card. Please use another card."),
    "lost_card": ("never_retry", GENERIC),
    "stolen_card": ("never_retry", GENERIC),
    "fraudulent": ("never_retry", GENERIC),
    "expired_card": ("fix_input", "This card has expired. Check the date or use another card."),
    "incorrect_cvc": ("fix_input", "The security code is not right. Check it and try again."),
    "incorrect_number": ("fix_input", "The card number is not right. Check it and try again."),
    "processing_error": ("retry_later", "The bank could not process the card just now. Try again in a moment."),
    "no_answer": ("retry_later", "The bank did not answer. Try again in a moment."),
    "card_velocity_exceeded": ("retry_later", "This card was used too often today. Try later or use another card."),
    "authentication_required": ("authenticate", "Your bank wants to check that it is you, and could not. Try again."),
    "authentication_failed": (
        "authenticate",
        "Your bank could not confirm that it is you. Use another card.",
    ),
}
MOST_DECLINES = 3


@dataclass(frozen=True)
class Card:
    """One test card: `decline` at once, or `challenge` first; then `after` (a decline code, or empty for approval).

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
    Card("4242424242424242", "visa", "is approved"),
    Card("5555555555554444", "mastercard", "is approved (Mastercard)"),
    Card("378282246310005", "amex", "is approved (American Express)"),
    Card("3566002020360505", "jcb", "is approved (JCB)"),
    Card("4000000000000002", "generic_decline", "is declined", "generic_decline"),
    Card("4000000000009995", "insufficient_funds", "is declined: not enough money", "insufficient_funds"),
    Card("4000000000009987", "lost_card", "is declined: reported lost", "lost_card"),
    Card("4000000000009979", "stolen_card", "is declined: reported stolen", "stolen_card"),
    Card("4000000000000069", "expired_card", "is declined: expired", "expired_card"),
    Card("4000000000000127", "incorrect_cvc", "is declined: wrong security code", "incorrect_cvc"),
    Card("4000000000000119", "processing_error", "is declined: processing error", "processing_error"),
    Card("4000000000006975", "card_velocity_exceeded", "is declined: used too often", "card_velocity_exceeded"),
    Card("4242424242424241", "incorrect_number", "is declined: wrong number", "incorrect_number"),
    Card("4000000000003220", "challenge", "asks for 3-D Secure, then is approved", challenge=True),
    Card(
        "4000008400001629", "challenge_declined", "asks for 3-D Secure, then is declined", "", True, "generic_decline"
    ),
    Card("4000008400001280", "challenge_error", "asks for 3-D Secure, which breaks", "authentication_required"),
    Card("4000000000000259", "dispute", "is approved"),
    Card("4000000000002685", "dispute_inquiry", "is approved"),
    Card("4000000000007726", "refund_pending", "is approved"),
    Card("4000000000005126", "refund_fails", "is approved"),
    Card(
        "4000009100000010",
        "api_times_out",
        "is approved, and the shop's next API call times out",
        plan={"api": [{"op": "*", "do": "timeout_after_commit", "times": 1}]},
    ),
    Card(
        "4000009100000028",
        "api_times_out_not_found",
        "gets no answer; the shop's next API call times out, the query after it finds nothing",
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
        "is approved ten minutes after the session has ended",
        plan={"pay": {"late_after_expiry": "PT10M"}},
    ),
    Card("4000009100000044", "charged_twice", "is charged twice", plan={"pay": {"double": True}}),
    Card("4000009100000051", "no_webhook", "is approved, and no webhook comes", plan={"hook": [{"drop": 1_000_000}]}),
    Card(
        "4000009100000069",
        "webhook_first",
        "is approved, and the webhook comes before the answer",
        plan={"hook": [{"before_response": True}]},
    ),
    Card("4000009100000077", "amount_differs", "is charged 100 units too much", plan={"pay": {"amount_delta": 100}}),
)


class Wallet(Card):
    """A wallet pays as a card that is always good does: it has no number, and faults of the payment bend it."""

    @property
    def brand(self) -> str:
        return "wallet"


WALLET = Wallet("", "wallet", "is paid from the wallet")
BY_NUMBER = {card.number: card for card in CARDS}
BY_SLUG = {card.slug: card for card in CARDS}


def only_digits(entered: str) -> str:
    """The number without blanks and dashes."""
    return entered.replace(" ", "").replace("-", "").replace("\u2009", "").replace("\u00a0", "")


def passes_luhn(number: str) -> bool:
    """Whether the last digit is the right check digit."""
    digits = [int(digit) for digit in reversed(number)]
    return sum(digits[0::2]) % 10 == -sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2]) % 10


def read_number(entered: str) -> tuple[Card | None, str]:
    """(the test card, "") or (None, why not in a sentence)."""
    number = only_digits(entered)
    if not number:
        return None, "Enter the card number."
    if not (number.isascii() and number.isdigit() and 12 <= len(number) <= 19):
        return None, "A card number has 12 to 19 digits."
    card = BY_NUMBER.get(number)
    if card is not None:
        return card, ""
    if not passes_luhn(number):
        return None, "This card number has a typing error. Check the digits."
    return None, "This is a test acquirer: it takes only the test cards listed below, never a real one."
