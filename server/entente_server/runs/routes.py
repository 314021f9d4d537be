"""Runs over HTTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict

from entente_common.contracts import run as wire
from entente_common.contracts.job import job_from_document
from entente_common.contracts.site import Preflight
from entente_common.errors import NotFound
from entente_server.kit.access import Admin
from entente_server.runs.desk import RunDesk

router = APIRouter(prefix="/v1", tags=["runs"])

_KEEP_ALIVE_S = 10.0
_LAST_SEQ = 10**15


class JobSubmission(BaseModel):
    """Carries a job document."""

    model_config = ConfigDict(extra="forbid")

    job: dict[str, Any]


class RunList(BaseModel):
    """A page of runs."""

    items: list[wire.Run]
    next_cursor: str | None = None


def _desk(request: Request) -> RunDesk:
    desk: RunDesk = request.app.state.desk
    return desk


@router.post("/preflight", operation_id="jobs_preflight")
def preflight(request: Request, body: JobSubmission, _actor: Admin) -> Preflight:
    """Which sites could take part in a job now, and why the others could not."""
    return _desk(request).preflight(job_from_document(body.job))


@router.post("/runs", status_code=202, operation_id="runs_create")
async def submit(
    request: Request, body: JobSubmission, response: Response, actor: Admin
) -> wire.Run:
    """Start a run of a job at all eligible sites."""
    run = await _desk(request).submit(job_from_document(body.job), actor=actor)
    response.headers["Location"] = f"/v1/runs/{run.id}"
    return run


@router.get("/runs", operation_id="runs_list")
def list_runs(request: Request, _actor: Admin) -> RunList:
    """All runs, the newest first."""
    return RunList(items=_desk(request).runs.list_runs())


@router.get("/runs/{run_id}", operation_id="runs_get")
def get_run(request: Request, run_id: str, _actor: Admin) -> wire.Run:
    """One run."""
    return _desk(request).runs.get(run_id)


@router.post("/runs/{run_id}/abort", operation_id="runs_abort")
async def abort(request: Request, run_id: str, actor: Admin) -> wire.Run:
    """End a run; nothing is released."""
    return await _desk(request).abort(run_id, actor=actor)


@router.get("/runs/{run_id}/model", operation_id="runs_model")
def model(request: Request, run_id: str, _actor: Admin) -> FileResponse:
    """The model a run released to the coordinator, as safetensors."""
    path = _desk(request).model_path(run_id)
    if not path.is_file():
        raise NotFound(
            f"The coordinator holds no model of run {run_id!r}.",
            hint="It holds one after a run that succeeded and whose job releases to coordinator.",
        )
    return FileResponse(
        path, media_type="application/octet-stream", filename=f"{run_id}.safetensors"
    )


@router.get("/runs/{run_id}/events", operation_id="runs_events")
async def events(
    request: Request,
    run_id: str,
    _actor: Admin,
    last_event_id: Annotated[str | None, Header()] = None,
    after: Annotated[int, Query(ge=0, le=_LAST_SEQ)] = 0,
) -> StreamingResponse:
    """Events of a run as server-sent events, from the first or after `Last-Event-ID`."""
    desk = _desk(request)
    seen = after
    if last_event_id and re.fullmatch("[0-9]{1,15}", last_event_id):
        seen = int(last_event_id)
    await asyncio.to_thread(desk.runs.get, run_id)
    return StreamingResponse(
        _stream(desk, run_id, after=seen),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store"},
    )


async def _stream(desk: RunDesk, run_id: str, *, after: int) -> AsyncIterator[str]:
    while True:
        news = desk.bell.next_ring
        # Read before the events: the event that ends a run is stored together with its end.
        ended = (await asyncio.to_thread(desk.runs.get, run_id)).ended
        for event in await asyncio.to_thread(desk.runs.events, run_id, after=after):
            after = event.seq
            yield f"id: {event.seq}\nevent: {event.kind}\ndata: {event.model_dump_json()}\n\n"
        if ended:
            return
        if not await news.wait(timeout_s=_KEEP_ALIVE_S):
            yield ": still here\n\n"
