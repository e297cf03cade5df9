"""Queues of due work: how much waits, what fails, and what staff make due now."""
