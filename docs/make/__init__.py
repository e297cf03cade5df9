"""What of the docs is made from the code: settings, routes, states and pictures.

`python -m docs.make` writes all of it; a test fails when what is committed differs from what the code says now.
"""
