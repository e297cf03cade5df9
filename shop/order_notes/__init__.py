"""Notes of staff on orders: write, withdraw, and mentions of colleagues."""
