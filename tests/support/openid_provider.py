"""An OpenID provider that signs in whom a test names."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from joserfc import jwk, jwt
from support.http_served import serving

from audit_emit._runtime.http_server import Answer, Request

CLIENT, SECRET = "audit-console", "the secret of the client"


class OpenIdProvider:
    """One that a console trusts.

    Attributes:
        issuer: its address.
        claims: what its ID tokens say besides, or otherwise, of who signs in next.
        key: that signs them; ``published`` is the one that it shows.
        instead: what it answers at a path, whatever is asked.
    """

    def __init__(self) -> None:
        self.issuer = ""
        self.claims: dict[str, Any] = {"email": "vera@example.com", "email_verified": True}
        self.key = self.published = jwk.ECKey.generate_key("P-256", {"kid": "1"})
        self.instead: dict[str, Answer] = {}
        self._asked: dict[str, dict[str, str]] = {}

    def approve(self, address: str) -> str:
        """What a browser does there: sign in, and go where it is sent."""
        asked = dict(parse_qsl(urlsplit(address).query))
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self._asked)}"
        self._asked[code] = asked
        return f"{asked['redirect_uri']}?code={code}&state={asked['state']}"

    def respond(self, request: Request) -> Answer:
        """One answer."""
        if request.path in self.instead:
            return self.instead[request.path]
        if request.path == "/.well-known/openid-configuration":
            return _json({
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            })  # fmt: skip
        if request.path == "/keys":
            return _json({"keys": [self.published.as_dict(private=False)]})
        form = {name: one[0] for name, one in parse_qs(request.body.decode()).items()}
        asked = self._asked.pop(form.get("code", ""), None)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).decode().rstrip("=")
        if asked is None or asked["code_challenge"] != challenge:
            return Answer(400, b'{"error":"invalid_grant"}')
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "7", "iat": now, "exp": now + 300}
        claims |= {"nonce": asked["nonce"], **self.claims}
        said = {name: one for name, one in claims.items() if one is not None}
        token = jwt.encode({"alg": "ES256", "kid": "1"}, said, self.key)
        return _json({"access_token": "a", "token_type": "Bearer", "id_token": token})


def _json(value: Any) -> Answer:
    return Answer(200, json.dumps(value).encode(), "application/json")


@contextmanager
def openid_provider() -> Iterator[OpenIdProvider]:
    """One on a free port of this machine."""
    made = OpenIdProvider()
    with serving(made.respond, most=1 << 16) as server:
        made.issuer = server.url
        yield made
