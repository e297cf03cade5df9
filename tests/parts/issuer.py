"""A local OpenID Connect issuer that publishes its metadata and keys, and signs any token that a test wants."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response


@cache
def rsa_key(kid: str) -> RSAKey:
    """A key pair of 2048 bits; the same one for the same id, because making one takes long."""
    return RSAKey.generate_key(2048, {"kid": kid})


class Issuer:
    """`requests` counts the fetches of each path; `keys` are the published ones; `is_away` answers 503."""

    def __init__(self) -> None:
        self.address = ""
        self.keys = [rsa_key("one")]
        self.is_away = False
        self.metadata: dict[str, Any] = {}
        self.requests: dict[str, int] = {}

    def __call__(self, environ: Any, start_response: Any) -> Any:
        path = Request(environ).path
        self.requests[path] = self.requests.get(path, 0) + 1
        documents = {
            "/.well-known/openid-configuration": {
                "issuer": self.address,
                "authorization_endpoint": f"{self.address}/authorize",
                "token_endpoint": f"{self.address}/token",
                "jwks_uri": f"{self.address}/keys",
                **self.metadata,
            },
            "/keys": {"keys": [key.as_dict(private=False) for key in self.keys]},
        }
        if self.is_away or path not in documents:
            return Response("away", 503)(environ, start_response)
        return Response(json.dumps(documents[path]), mimetype="application/json")(environ, start_response)

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Claims of a good token for the audience `shop`; None leaves a claim out."""
        now = int(time.time())
        found = {"iss": self.address, "aud": "shop", "sub": "ada", "iat": now, "exp": now + 600}
        found |= {"email": "ada@example.com", "email_verified": True, "name": "Ada Lin", "jti": str(time.time_ns())}
        return {name: value for name, value in (found | changed).items() if value is not None}

    def token(self, *, key: RSAKey | None = None, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """A signed ID token."""
        head = {"alg": "RS256", "kid": "one"} | (header or {})
        return jwt.encode(head, self.claims(**changed), key or rsa_key("one"), algorithms=["RS256", "PS256"])


@contextmanager
def running() -> Iterator[Issuer]:
    """An issuer on a free port of localhost."""
    issuer = Issuer()
    server = make_server("localhost", 0, issuer, threaded=True)
    issuer.address = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
