"""Search of orders for staff: filters that the console, the API and exports share, keyset pages, lookup by id."""
