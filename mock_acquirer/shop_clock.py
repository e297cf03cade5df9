"""Advance the shop's development clock together with that of the default run."""

from __future__ import annotations

import json
from datetime import datetime

import httpx
from flask import current_app

from mock_acquirer import clock, outgoing
from mock_acquirer.models import DEFAULT_RUN
from mock_acquirer.targets import Way


class ShopClock:
    """Result of advancing the shop's clock. `state`: not_configured, turned or not_reached."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.url: str = current_app.config["SHOP_CLOCK_URL"] if run == DEFAULT_RUN else ""
        self.state = "turned" if self.url else "not_configured"

    def turn(self, moment: datetime) -> None:
        """Advance it by as much as the run is about to advance. A shop that cannot be reached does not stop the run."""
        by = (moment - clock.now(self.run)).total_seconds()
        if not self.url or by <= 0:
            return
        bearer = {"Authorization": f"Bearer {current_app.config['ACQUIRER_CONTROL_TOKEN']}"}
        body = json.dumps({"by": f"PT{by:.6f}S"}).encode()
        headers = bearer | {"content-type": "application/json"}
        try:
            answered = outgoing.post(current_app.extensions["acquirer.http"], Way(self.url), headers, body)
            followed = 200 <= answered.status < 300
        except httpx.HTTPError:
            followed = False
        if not followed:
            self.state = "not_reached"
            current_app.logger.warning("the shop's clock was not turned", extra={"run": self.run})
