"""The generated pages, as a table."""

from __future__ import annotations

from docs.make import fates, house_picture, routes, settings, state_pictures, way_picture

PAGES = {
    "docs/settings.md": settings.page,
    "docs/routes.md": routes.page,
    "docs/fates.md": fates.page,
    "docs/states.md": state_pictures.page,
    "docs/pictures/order-states.svg": state_pictures.orders,
    "docs/pictures/payment-states.svg": state_pictures.payments,
    "docs/pictures/house.svg": house_picture.picture,
    "docs/pictures/way-of-a-payment.svg": way_picture.picture,
}
"""Path from the project's root, and the function that returns its text."""
