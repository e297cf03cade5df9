"""Transactional mail: queued once for each event that causes it, delivered over SMTP at least once."""
