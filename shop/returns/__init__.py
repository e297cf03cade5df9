"""Returns of items by line: requested by customers, decided and received by staff, refunded through the refunds."""
