"""Webhook inbox: receive, store, apply and retry webhook events."""
