"""Sites, and the invitations that let them in. Moments are RFC 3339 text in UTC."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class InvitationRow(SQLModel, table=True):
    """A one-time token for one site name. The token itself is not stored."""

    __tablename__ = "invitation"

    id: str = Field(primary_key=True)
    site: str = Field(index=True)
    token_hash: str = Field(unique=True)
    created_at: str
    expires_at: str
    used_at: str | None = None


class SiteRow(SQLModel, table=True):
    """An enrolled site."""

    __tablename__ = "site"

    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    node_id: str
    certificate_pem: str
    certificate_expires_at: str
    enrolled_at: str
    last_seen_at: str | None = None
    version: str | None = None
    code_digest: str | None = None
    cards: str = "[]"
