"""Payment updates: the only place that decides that money arrived."""
