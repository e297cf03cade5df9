"""Schemas of the API, one module for each resource: what requests may contain, and the bodies of answers."""
