"""Access tokens, stored as hashes."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class AccessTokenRow(SQLModel, table=True):
    """A bearer token of the API."""

    __tablename__ = "access_token"

    id: str = Field(primary_key=True)
    name: str
    token_hash: str = Field(unique=True)
    created_at: str
