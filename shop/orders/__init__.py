"""What buyers want: orders, their states and their history."""
