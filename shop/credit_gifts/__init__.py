"""Gifts of store credit to customers, approved by a second person."""
