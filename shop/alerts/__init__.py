"""Alerts: what people must look at, found by rules over numbers, each once."""
