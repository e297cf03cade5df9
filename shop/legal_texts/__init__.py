"""Texts of the legal pages that the merchant writes, with all their versions."""
