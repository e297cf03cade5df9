"""Log lines as JSON or text, with ids and without secrets. Of a request, only method and path are logged."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

KNOWN = (
    "request_id", "method", "path", "status", "ms", "run", "payment", "delivery", "outcome", "op",
)  # fmt: skip


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, event, and the fields of KNOWN that the record has."""

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


class TextLines(logging.Formatter):
    """Time, level, event and `name=value` fields, in the format of the shop's text log."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        fields = " ".join(f"{name}={getattr(record, name)}" for name in sorted(KNOWN) if hasattr(record, name))
        line = f"{time} [{record.levelname.lower():<9}] {record.getMessage():<30} {fields}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up(logger: logging.Logger, level: str, style: str) -> None:
    """Log to standard error. `style` is json or text."""
    logger.setLevel(level.upper())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if style == "json" else TextLines())
    logger.handlers = [handler]
    logger.propagate = False
