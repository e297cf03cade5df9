"""Place an order: load a snapshot, decide without side effects, write the decision."""
