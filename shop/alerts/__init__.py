"""Alerts on inconsistencies and operational conditions for staff, each raised once."""
