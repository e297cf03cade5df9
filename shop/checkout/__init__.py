"""Carts, checkout, order placing and order ending."""
