"""Product search: tokens, queries, and what is found."""
