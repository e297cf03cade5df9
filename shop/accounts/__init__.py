"""Accounts, sign-in, and active sign-ins."""
