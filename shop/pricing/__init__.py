"""Delivery, discount codes and tax: what an order costs beyond its goods."""
