"""Providers: one file per acquirer. A module that defines PROVIDER is registered automatically."""
