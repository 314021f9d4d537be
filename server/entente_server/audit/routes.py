"""The audit trail over HTTP: entries, checkpoints, proofs, export."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel

from entente_common.audit.encoding import encode_base64
from entente_server.audit.log import AuditLog
from entente_server.kit.access import Admin

router = APIRouter(prefix="/v1/audit", tags=["audit"])


class LogIdentity(BaseModel):
    """Names the log, and the key its checkpoints are verified with."""

    origin: str
    log_key: str


class EntryList(BaseModel):
    """A page of entries; `next_cursor` is the `after` of the next page."""

    items: list[dict[str, Any]]
    next_cursor: str | None


class Proof(BaseModel):
    """Hashes of a proof (RFC 9162), in Base64, and the leaf it is about, if it is about one."""

    proof: list[str]
    leaf_hash: str | None = None


def _log(request: Request) -> AuditLog:
    log: AuditLog = request.app.state.audit_log
    return log


@router.get("/key", operation_id="audit_key")
def key(request: Request, _actor: Admin) -> LogIdentity:
    """The log's name and key. Keep them outside the coordinator: they make its claims provable."""
    verifier = _log(request).verifier
    return LogIdentity(origin=verifier.name, log_key=verifier.text())


@router.get("/checkpoint", operation_id="audit_checkpoint", response_class=PlainTextResponse)
def checkpoint(request: Request, _actor: Admin) -> str:
    """A signed checkpoint of the log as it stands (C2SP tlog-checkpoint)."""
    return _log(request).checkpoint()


@router.get("/entries", operation_id="audit_entries")
def entries(
    request: Request,
    _actor: Admin,
    after: Annotated[int, Query(ge=-1)] = -1,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> EntryList:
    """Entries in order, from the first or after index `after`."""
    found = _log(request).entries(after=after, limit=limit)
    more = str(found[-1].index) if len(found) == limit else None
    return EntryList(items=[entry.document() for entry in found], next_cursor=more)


@router.get("/inclusion", operation_id="audit_inclusion")
def inclusion(
    request: Request,
    _actor: Admin,
    index: Annotated[int, Query(ge=0)],
    size: Annotated[int, Query(ge=1)],
) -> Proof:
    """Proof that an entry is in the log of a size."""
    leaf, proof = _log(request).inclusion(index, size=size)
    return Proof(proof=[encode_base64(part) for part in proof], leaf_hash=encode_base64(leaf))


@router.get("/consistency", operation_id="audit_consistency")
def consistency(
    request: Request,
    _actor: Admin,
    older: Annotated[int, Query(ge=0)],
    newer: Annotated[int, Query(ge=0)],
) -> Proof:
    """Proof that the log only grew between two sizes."""
    proof = _log(request).consistency(older=older, newer=newer)
    return Proof(proof=[encode_base64(part) for part in proof])


@router.get("/bundle", operation_id="audit_bundle")
def bundle(request: Request, _actor: Admin) -> StreamingResponse:
    """Everything an outside auditor needs to verify the log offline, as JSON Lines."""
    return StreamingResponse(_log(request).bundle(), media_type="application/jsonl")
