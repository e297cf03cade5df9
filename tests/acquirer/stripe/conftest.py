"""Stripe's dialect behind a real server, because Stripe's library calls one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest
from werkzeug.serving import make_server

from tests.acquirer.conftest import Receiver, World
from tests.acquirer.stripe.client import Merchant


@pytest.fixture
def merchant(make_world: Callable[..., World], receiver: Receiver) -> Iterator[Merchant]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    world = make_world(ACQUIRER_STRIPE_WEBHOOK_URL=receiver.url)
    server = make_server("127.0.0.1", 0, world.app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield Merchant(world, f"http://127.0.0.1:{server.server_port}/stripe")
    server.shutdown()
    server.server_close()
