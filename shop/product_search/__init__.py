"""Search of products: tokens, queries, the index that each change of a product writes, and pages of results."""
