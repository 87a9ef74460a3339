"""The console: a web application that shows who did what, and whether the log still verifies.

    from audit_emit.console import app
    access = Access.from_file("users.toml")
    application.mount("/audit", app("/var/log/audit-emit/shop", access=access))

``audit-emit console`` serves the same on loopback. Needs the extra ``console`` (Starlette, Jinja2,
uvicorn). Pages are rendered by the server and work without JavaScript; no request leaves the host.
"""

from __future__ import annotations

from audit_emit.console.access import Access, Identity, Role, hash_password
from audit_emit.console.application import app
from audit_emit.console.sign_in import SignIn

__all__ = ["Access", "Identity", "Role", "SignIn", "app", "hash_password"]
