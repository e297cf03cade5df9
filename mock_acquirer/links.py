"""Public addresses of the acquirer's pages."""

from __future__ import annotations

from flask import current_app

from mock_acquirer.models import Payment


def checkout_url(payment: Payment) -> str:
    """The hosted page of the payment, built from the public address: API calls may arrive on an internal one."""
    return f"{current_app.config['ACQUIRER_PUBLIC_URL']}/pay/{payment.id}"


def wallet_url(payment: Payment) -> str:
    """The page that the customer's wallet app opens after scanning the payment's code."""
    return f"{checkout_url(payment)}/wallet"
