"""kill -9 while a mail is sent: the next process sends it again with the same Message-ID, and none is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shop.mail.deliver import LEASE
from tests.chaos.conftest import Deployment
from tests.mail.conftest import Server, mails
from tests.parts.waiting import until
from tests.shop_fixtures import PEN


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.stop()


@pytest.mark.full
@pytest.mark.sample(1)
@pytest.mark.parametrize("victims", ["clock", "worker"])
def test_a_process_killed_before_the_server_has_replied_sends_the_mail_again_with_the_same_message_id(
    deployment: Deployment, server: Server, victims: str
) -> None:
    """Fault 42."""
    settings = {"MAIL_URL": f"smtp://127.0.0.1:{server.port}/"}
    deployment.settings.update(settings)
    order = deployment.shop.order((PEN, 1), provider="kpay")
    if victims == "worker":
        victim = deployment.worker()
        deployment.clock()
    else:
        victim = deployment.clock(REDIS_URL="")
    server.then = victim.kill
    until(lambda: len(server.received) == 1, within=30, what="the first delivery")
    until(lambda: not victim.alive(), within=10, what="the process to end")
    assert mails(deployment.shop) == [("order_placed", "QUEUED")], "nothing was recorded"
    server.then = lambda: None
    deployment.shop.wait(seconds=LEASE.total_seconds() + 1)
    if victims == "clock":
        deployment.clock(REDIS_URL="")
    until(lambda: mails(deployment.shop) == [("order_placed", "SENT")], within=30, what="the mail to be sent")
    assert len(server.ids) == 2
    assert len(set(server.ids)) == 1
    assert server.subjects == [f"Your order {order.number}"] * 2
