"""Tables from which no rows are deleted by age, with the reasons; see `shop.jobs.retention` for the others."""

from __future__ import annotations

from dataclasses import dataclass

from shop.jobs import merchant_retention


@dataclass(frozen=True)
class Kept:
    """A table from which no rows are deleted by age, with the reason."""

    table: str
    why: str


_ORDER = "the order itself: bookkeeping, disputes and the customer's history"
_LEDGER = "the ledger"
_DOCUMENTS = "documents are numbered without gaps and never change"
_STOCK = "stock is the sum of these"
_CATALOGUE = "the catalogue"
_SEARCH = "the index of product search, which follows the catalogue"
_PRICING = "what orders cost"
_AUDIT = "evidence of who did what: append-only, with accounts by their number; personal values are in audit_personal"
_NOTES = "evidence of what staff asked and did; their texts are erased"
KEPT: tuple[Kept, ...] = (
    *(Kept(name, _ORDER) for name in ("orders", "order_lines", "order_events", "payments", "captures", "refunds")),
    *(Kept(name, f"{_ORDER}; tracking numbers are erased") for name in ("shipments", "shipment_lines")),
    *(
        Kept(name, f"{_ORDER}; the texts are erased with the data of a guest")
        for name in ("order_returns", "order_return_lines", "order_return_refunds")
    ),
    *(
        Kept(name, _LEDGER)
        for name in ("journals", "ledger_entries", "funds", "payouts", "credit_gifts", "shortfall_requests")
    ),
    *(
        Kept(name, _LEDGER)
        for name in ("store_credits", "credit_holds", "settlement_lines", "discrepancies", "disputes")
    ),
    Kept("settlement_files", "one row for each provider and day: which files were read, and when"),
    Kept("statistics_days", "figures of days, without personal data"),
    Kept("statistics_progress", "one row"),
    Kept("notification_windows", "one row for each rule of alerts"),
    *(Kept(name, _DOCUMENTS) for name in ("documents", "document_lines", "document_files", "document_years")),
    *(Kept(name, _STOCK) for name in ("stock", "stock_movements", "reservations")),
    *(Kept(name, _CATALOGUE) for name in ("products", "categories", "initial_texts", "former_slugs", "price_changes")),
    *(
        Kept(name, _SEARCH)
        for name in ("search_entries", "search_prices", "search_names", "search_words", "search_spellings")
    ),
    *(Kept(name, _PRICING) for name in ("tax_rates", "delivery_methods", "discount_codes", "discount_values")),
    Kept("seller_data", "one row: the seller"),
    Kept("legal_texts", "evidence of the terms that customers could read when they ordered"),
    Kept("announcements", "at most 50, until staff delete them"),
    Kept(
        "discount_uses",
        "uses and spent budgets of codes are the sums of these; they contain no address, only its keyed hash",
    ),
    *(Kept(name, _AUDIT) for name in ("audit_log", "audit_seals")),
    *(Kept(name, _NOTES) for name in ("order_notes", "note_mentions")),
    Kept("users", "orders, journals and the audit log refer to them; the owner's deletion erases name and address"),
    Kept("saved_addresses", "until the owner deletes them or the account"),
    Kept("totp_secrets", "one row for each account with an authenticator app, until the second factor is removed"),
    Kept("recovery_codes", "ten rows for each account with a second factor"),
    Kept("passkeys", "at most twenty rows for each account of staff, until they are removed"),
    Kept("identities", "one row for each account at an issuer by which the owner signs in, until it is removed"),
    Kept("api_keys", "at most 25 of a person that are not revoked; the log of calls names them"),
    Kept("role_requests", "evidence of the two admins who gave a role that decides about money or roles"),
    Kept("saved_views", "at most 50, until staff delete them"),
    Kept("watch_list", "rows are removed when no check of the order is left"),
    Kept("condition_schedules", "one row for each condition"),
    Kept("provider_health", "one row for each provider"),
    Kept("clock_offset", "one row"),
)
"""Tables without a rule, with the reason."""
REMOVED_WITH = {
    "cart_lines": "carts",
    "order_export_parts": "order_exports",
    "webhook_deliveries": "outgoing_events",
    "delivery_attempts": "outgoing_events",
    **merchant_retention.REMOVED_WITH,
}
"""Tables whose rows are deleted together with those of another one."""
