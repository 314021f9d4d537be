"""Bearer tokens: made once, stored as hashes, checked on every request."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from sqlmodel import select

from entente_common.clock import rfc3339, utc_now
from entente_common.errors import AuthenticationFailed
from entente_common.identity.atomic_file import PRIVATE, write_atomically
from entente_common.ids import new_id
from entente_server.audit.trail import audit
from entente_server.kit.database import Database
from entente_server.tables import AccessTokenRow

ADMIN_PREFIX = "ent_adm_"


def hash_token(token: str) -> str:
    """What is stored of a token: enough to recognise 256 random bits, not to recover them."""
    return hashlib.sha256(token.encode()).hexdigest()


def ensure_admin_token(database: Database, path: Path) -> None:
    """On first start, make the admin's token and leave it in `path`, for its owner alone."""
    with database.transaction() as session:
        if session.exec(select(AccessTokenRow)).first() is not None:
            return
        token = ADMIN_PREFIX + secrets.token_urlsafe(32)
        row = AccessTokenRow(
            id=new_id("tok"),
            name="admin",
            token_hash=hash_token(token),
            created_at=rfc3339(utc_now()),
        )
        session.add(row)
        audit(session, actor="coordinator", action="token.created", subject=row.id, name="admin")
        write_atomically(path, f"{token}\n".encode(), mode=PRIVATE)


def require_admin(request: Request) -> str:
    """The name of the caller's token.

    Raises:
        AuthenticationFailed: No token, or one that was never issued.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise AuthenticationFailed("The request carries no access token.")
    database: Database = request.app.state.database
    with database.snapshot() as session:
        query = select(AccessTokenRow).where(AccessTokenRow.token_hash == hash_token(token.strip()))
        row = session.exec(query).first()
    if row is None:
        raise AuthenticationFailed("The access token is not known to this coordinator.")
    return row.name


Admin = Annotated[str, Depends(require_admin)]
