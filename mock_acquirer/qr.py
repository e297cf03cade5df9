"""QR codes as inline pictures."""

from __future__ import annotations

import segno


def picture(address: str) -> str:
    """A `data:` address of the QR code for `address`; dark on light in every colour scheme."""
    return segno.make(address, error="m", micro=False).svg_data_uri(scale=5, border=4, light="#fff", dark="#000")
