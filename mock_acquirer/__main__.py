"""Run the acquirer alone, on its own database, for any shop on this machine: `python -m mock_acquirer`."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any

from flask import Flask
from flask_migrate import upgrade
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from mock_acquirer import create_app, dialects

HERE = "http://localhost:*,http://127.0.0.1:*"
ONLY_HERE = ("127.0.0.1", "localhost", "::1")


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m mock_acquirer", description=__doc__)
    parser.add_argument("--port", type=int, default=9000, help="0 picks a free one (default 9000)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1; any other is production)"
    )
    parser.add_argument("--database", default="sqlite:///acquirer.db", help="default: acquirer.db in this folder")
    parser.add_argument("--webhook", default="", help="where webhooks go when a payment names no address of its own")
    parser.add_argument("--targets", default=HERE, help="origins that webhooks may go to (default: this machine)")
    parser.add_argument("--until-eof", action="store_true", help="end when the standard input is closed")
    return parser.parse_args(given)


def _app(asked: argparse.Namespace, address: str) -> Flask:
    settings: dict[str, Any] = {
        # Development defaults, for tests and shops on this machine. A reachable deployment needs its own secrets.
        "SETTLED_ENV": os.environ.get("SETTLED_ENV") or ("development" if asked.host in ONLY_HERE else "production"),
        "ACQUIRER_PUBLIC_URL": os.environ.get("ACQUIRER_PUBLIC_URL", address),
        "ACQUIRER_DATABASE_URL": _absolute(asked.database),
        "ACQUIRER_WEBHOOK_TARGETS": asked.targets,
        "ACQUIRER_LOG_LEVEL": os.environ.get("ACQUIRER_LOG_LEVEL", "warning"),
        "REDIS_URL": "",
        "SHOP_CLOCK_URL": os.environ.get("SHOP_CLOCK_URL", ""),
    }
    if asked.webhook:
        settings |= {f"ACQUIRER_{name.upper()}_WEBHOOK_URL": asked.webhook for name in dialects.discover()}
    return create_app(settings)


def _absolute(database: str) -> str:
    """Resolve a relative SQLite path against the working directory, not Flask's instance folder."""
    prefix = "sqlite:///"
    path = database.removeprefix(prefix)
    relative = database.startswith(prefix) and path and not path.startswith(("/", ":"))
    return f"{prefix}{os.path.abspath(path)}" if relative else database  # noqa: PTH100 - may not exist yet


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, kind: str, message: str, *args: object) -> None:
        """Log nothing: the app writes its own log."""


def _end_with_input(server: BaseWSGIServer) -> None:
    sys.stdin.buffer.read()
    server.shutdown()


def main(given: Sequence[str] | None = None) -> None:
    """Migrate the database and serve until Ctrl-C. The first line printed is the address."""
    asked = _arguments(given)
    listening = socket.create_server((asked.host, asked.port), backlog=128)
    port = listening.getsockname()[1]
    app = _app(asked, f"http://{'localhost' if asked.host in ('127.0.0.1', '0.0.0.0') else asked.host}:{port}")  # noqa: S104
    with app.app_context():
        upgrade()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    server = make_server(asked.host, port, app, threaded=True, request_handler=_Quiet, fd=listening.fileno())
    sys.stdout.write(f"http://{asked.host}:{port}\n")
    sys.stdout.flush()
    sys.stderr.write("The mock acquirer is listening. Ctrl-C ends it.\n")
    if asked.until_eof:
        threading.Thread(target=_end_with_input, args=(server,), daemon=True).start()
    try:
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


if __name__ == "__main__":
    main()
