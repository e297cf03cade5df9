"""Turns the shop's development clock along with that of the default run: both worlds stay in one time."""

from __future__ import annotations

from datetime import datetime

import httpx
from flask import current_app

from mock_acquirer import clock
from mock_acquirer.models import DEFAULT_RUN


class ShopClock:
    """Collects whether the shop followed. `state`: not_configured, turned or not_reached."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.url: str = current_app.config["SHOP_CLOCK_URL"] if run == DEFAULT_RUN else ""
        self.state = "turned" if self.url else "not_configured"

    def turn(self, moment: datetime) -> None:
        """Turn it by as much as this run is about to be turned. A shop that cannot follow stops nothing here."""
        by = (moment - clock.now(self.run)).total_seconds()
        if not self.url or by <= 0:
            return
        bearer = {"Authorization": f"Bearer {current_app.config['ACQUIRER_CONTROL_TOKEN']}"}
        client: httpx.Client = current_app.extensions["acquirer.http"]
        try:
            answer = client.post(self.url, json={"by": f"PT{by:.6f}S"}, headers=bearer)
            followed = answer.is_success
        except httpx.HTTPError:
            followed = False
        if not followed:
            self.state = "not_reached"
            current_app.logger.warning("the shop's clock was not turned", extra={"run": self.run})
