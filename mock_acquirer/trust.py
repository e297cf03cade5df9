"""Certificate authorities for HTTPS receivers, and the reason why a receiver gave no response."""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path

import httpx


def context(cert_file: str, cert_dir: str) -> ssl.SSLContext:
    """The TLS context of outgoing calls: the authorities of `cert_file`, else of `cert_dir`, else the public ones.

    Raises OSError when the file cannot be read or holds no certificate, or the folder does not exist.
    """
    if cert_dir and not cert_file and not Path(cert_dir).is_dir():
        raise FileNotFoundError(cert_dir)
    return _context(cert_file, cert_dir)


@cache
def _context(cert_file: str, cert_dir: str) -> ssl.SSLContext:
    """Read once per process: reading all public authorities takes 30 ms."""
    if cert_file:
        return ssl.create_default_context(cafile=cert_file)
    if cert_dir:
        return ssl.create_default_context(capath=cert_dir)
    return httpx.create_ssl_context(trust_env=False)


def failure(error: BaseException) -> str:
    """The reason why a call got no response, for the delivery log: a sentence about TLS where TLS failed, else the
    error's name.
    """
    name = type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            hint = "add its authority to SSL_CERT_FILE or SSL_CERT_DIR"
            return f"{name}: the certificate is not trusted ({cause.verify_message}); {hint}"
        if isinstance(cause, ssl.SSLError):
            return f"{name}: TLS failed ({cause.reason or 'no reason given'})"
        cause = cause.__cause__ or cause.__context__
    said = str(error).strip()
    return f"{name}: {said}"[:300] if said else name
