"""Products, categories and search."""
