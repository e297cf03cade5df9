"""Snapshot of the money of one order, and the only module that writes decisions about it."""
