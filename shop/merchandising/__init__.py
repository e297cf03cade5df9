"""Products with their stock: lists for staff, and CSV files of products."""
