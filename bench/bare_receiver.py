"""Minimal webhook receiver for comparison: check the signature, one INSERT, one COMMIT."""

from __future__ import annotations

import os

from flask import Flask, request
from sqlalchemy import create_engine, event, text
from standardwebhooks import Webhook

app = Flask(__name__)
engine = create_engine(os.environ["DATABASE_URL"], pool_size=20, max_overflow=20)
webhook = Webhook(os.environ["KPAY_WEBHOOK_SECRET"])

if engine.dialect.name == "sqlite":

    @event.listens_for(engine, "connect")
    def _wal(connection, _record):  # type: ignore[no-untyped-def]
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")


with engine.begin() as first:
    first.execute(text("CREATE TABLE IF NOT EXISTS received (id TEXT PRIMARY KEY, body TEXT NOT NULL)"))


@app.get("/readyz")
def ready() -> str:
    return "ok"


@app.post("/webhooks/kpay")
def receive() -> str:
    raw = request.get_data()
    webhook.verify(raw, dict(request.headers))
    with engine.begin() as connection:
        values = {"id": request.headers["webhook-id"], "body": raw.decode()}
        connection.execute(text("INSERT INTO received (id, body) VALUES (:id, :body)"), values)
    return "ok"
