"""Fulfilment of paid orders: packages with lines and quantities, carriers, tracking, packing slips."""
