"""What the books say, read across rooms; nothing here writes."""
