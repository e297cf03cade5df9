"""Disputes (chargebacks): records and journals."""
