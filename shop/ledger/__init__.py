"""Double-entry ledger: every journal balances or is refused."""
