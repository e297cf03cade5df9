"""The generated pages, as a table."""

from __future__ import annotations

from tools.docs import collection, retention, routes, settings, states, test_cards

PAGES = {
    "docs/settings.md": settings.page,
    "docs/routes.md": routes.page,
    "docs/retention.md": retention.page,
    "docs/test-cards.md": test_cards.page,
    "docs/states.md": states.page,
    "docs/examples/settled.postman_collection.json": collection.page,
}
"""Path from the project's root, and the function that returns its text."""
