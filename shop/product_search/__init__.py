"""Search of products: tokens, queries, the index that is written with each change of a product, and pages of results."""
