"""A private certificate authority, and a server certificate that it signed. See README.md."""

from __future__ import annotations

from pathlib import Path

AUTHORITY = Path(__file__).with_name("authority.pem")
RECEIVER = Path(__file__).with_name("receiver.pem")
