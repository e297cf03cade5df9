"""One JSON line per event, with ids and without secrets: nothing that a caller sent is logged but method and path."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

KNOWN = (
    "request_id", "method", "path", "status", "ms", "run", "payment", "delivery", "outcome", "op",
)  # fmt: skip


class JsonLines(logging.Formatter):
    """Time, level, event, and the fields that we pass by name."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in KNOWN if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up(logger: logging.Logger, level: str) -> None:
    """Log to standard error as JSON lines."""
    logger.setLevel(level.upper())
    if not any(isinstance(handler.formatter, JsonLines) for handler in logger.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonLines())
        logger.handlers = [handler]
    logger.propagate = False
