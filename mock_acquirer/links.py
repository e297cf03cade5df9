"""Addresses of the acquirer's pages as browsers see them."""

from __future__ import annotations

from flask import current_app

from mock_acquirer.models import Payment


def checkout_url(payment: Payment) -> str:
    """The hosted page of the payment. Built from the public address: API calls come in on another one."""
    return f"{current_app.config['ACQUIRER_PUBLIC_URL']}/pay/{payment.id}"


def wallet_url(payment: Payment) -> str:
    """Where the wallet app of a customer goes who has scanned the payment's code."""
    return f"{checkout_url(payment)}/wallet"
