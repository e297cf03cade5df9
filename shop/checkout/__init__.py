"""The journey from a cart to an order that has ended: it composes the books and the payments."""
