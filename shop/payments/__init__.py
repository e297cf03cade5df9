"""Payments: the only package that calls acquirers."""
