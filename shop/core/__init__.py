"""The ground that every room stands on: one noun per file, no knowledge of the shop."""
