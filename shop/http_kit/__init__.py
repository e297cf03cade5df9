"""Shared by the HTTP entry points: access rules, errors, request guard, visitor, template helpers."""
