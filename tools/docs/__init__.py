"""Generated documentation: settings, routes, states, retention, test cards.

`python -m tools.docs` writes it; a test fails when the committed text differs from what the code says now.
"""
