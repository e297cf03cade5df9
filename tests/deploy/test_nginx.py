"""deploy/nginx.conf in a real nginx: streams are not buffered, and a dying web process fails no request."""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.chaos.conftest import Deployment, deployment  # noqa: F401 - a fixture
from tests.parts.processes import ROOT, Process, Processes, free_port
from tests.parts.waiting import until
from tests.shop_fixtures import PEN

PROGRAM = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
EXAMPLE = (ROOT / "deploy" / "nginx.conf").read_text()
AUTHORITY = ROOT / "tests" / "parts" / "private_ca"
pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="this machine has no nginx (Debian: apt-get install nginx-light)"
)


def configuration(folder: Path, example: str) -> Path:
    """The example inside a complete configuration that writes to `folder` only."""
    temporary = "\n".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "settled.conf").write_text(example)
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/errors; user root;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary}\ninclude {folder}/settled.conf; }}\n"
    )
    return folder / "nginx.conf"


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def test_nginx_accepts_the_example_as_it_is_but_for_the_certificate(tmp_path: Path, process: Processes) -> None:
    key = next(path for path in AUTHORITY.glob("*.pem") if "PRIVATE KEY" in path.read_text())
    example = replaced(
        EXAMPLE, ("/etc/ssl/shop.example.com.pem", str(key)), ("/etc/ssl/shop.example.com.key", str(key))
    )
    assert PROGRAM
    tried = process([PROGRAM, "-t", "-c", str(configuration(tmp_path, example))])
    assert tried.wait() == 0, tried.text


@dataclass
class Front:
    """nginx at the shop's address, with two web processes behind it."""

    deployment: Deployment
    ports: tuple[int, int]
    log: Path
    webs: list[Process] = field(default_factory=list)

    def errors(self) -> str:
        """The errors in nginx's log."""
        return self.log.read_text()

    def web(self, number: int) -> Process:
        """Start one of the two; returns when it answers."""
        port = self.ports[number]
        web = self.deployment.run("web", ["gunicorn", "-c", "deploy/gunicorn.py", "wsgi:app"], PORT=str(port))
        web.wait_for_url(f"http://127.0.0.1:{port}/healthz", within=30)
        return web


@pytest.fixture
def front(deployment: Deployment, tmp_path: Path) -> Iterator[Front]:  # noqa: F811
    folder = tmp_path / "nginx"
    folder.mkdir()
    front = Front(deployment, (free_port(), free_port()), folder / "errors")
    upstreams, _, https = re.split(r"^server \{$", EXAMPLE, flags=re.MULTILINE)
    example = replaced(
        re.sub(r"^    ssl_.*\n", "", f"{upstreams}server {{{https}", flags=re.MULTILINE),
        ("127.0.0.1:8001", f"127.0.0.1:{front.ports[0]}"),
        ("127.0.0.1:8002", f"127.0.0.1:{front.ports[1]}"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{deployment.settings['PORT']};"),
        ("server_name shop.example.com;", "server_name localhost;"),
    )
    assert PROGRAM
    nginx = deployment.run("nginx", [PROGRAM, "-c", str(configuration(folder, example))])
    front.webs += [front.web(0), front.web(1)]
    nginx.wait_for_url(f"{deployment.site}/healthz")
    yield front


@pytest.mark.full
@pytest.mark.sample(1)
def test_an_event_reaches_an_open_page_through_nginx_at_once(front: Front) -> None:
    visitor = front.deployment.visitor()
    path = visitor.place()
    order = front.deployment.order(path)
    with visitor.client.stream("GET", f"{path}/events") as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert next(lines) is not None, "the beginning is not held back"
        front.deployment.acquirer.approve(front.deployment.shop.payment(order).id)
        front.deployment.shop.make_due(front.deployment.shop.payment(order))
        front.deployment.shop.sweep()
        assert any("Payment received" in line for line in lines), "reported before the stream ends"
    assert front.deployment.shop.state(order) == "PAID"


@pytest.mark.full
def test_a_web_process_that_is_killed_or_restarted_fails_no_request(front: Front) -> None:
    visitor = front.deployment.visitor()

    def shop_for_a_while() -> None:
        for _ in range(8):
            assert visitor.client.get("/products/pen").status_code == 200, front.errors()
            added = visitor.post("/cart/lines", "/products/pen", sku=PEN, quantity="1")
            assert added.status_code == 303, front.errors()

    shop_for_a_while()
    first, second = front.webs
    first.kill()
    shop_for_a_while()
    front.web(0)
    second.signal(signal.SIGTERM)
    shop_for_a_while()
    second.wait(within=20)
    shop_for_a_while()


@pytest.mark.full
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_web_process_that_ends_answers_what_waits_in_its_backlog(front: Front) -> None:
    """On SQLite: its statements block the process, so that connections wait in the backlog when it ends."""
    ended, answered = threading.Event(), [0] * 16

    def post_until_it_ended(number: int) -> None:
        """Send webhooks without a signature. They are POSTs, which nginx does not repeat."""
        visitor = front.deployment.visitor()
        while not ended.is_set():
            sent = visitor.client.post("/webhooks/kpay", content=b"{}")
            assert sent.status_code == 401, front.errors()
            answered[number] += 1

    with ThreadPoolExecutor(len(answered)) as visitors:
        posting = [visitors.submit(post_until_it_ended, number) for number in range(len(answered))]
        try:
            until(lambda: all(answered) or any(one.done() for one in posting), what="every visitor to be answered")
            front.webs[1].signal(signal.SIGTERM)
            front.webs[1].wait(within=20)
        finally:
            ended.set()
        for one in posting:
            one.result()
