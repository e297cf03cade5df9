"""Settlement: fetch, match and book settlement files, and record discrepancies."""
