"""Explanations of an order's state, made from its history. Read-only."""
