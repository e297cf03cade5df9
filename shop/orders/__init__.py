"""Orders, their states and their history."""
