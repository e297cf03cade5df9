"""Payment records: tables, state tables, row locks and the poll schedule."""
