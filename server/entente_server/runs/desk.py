"""The desk where runs are submitted, watched and ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from entente_common.contracts.job import Job
from entente_common.contracts.run import RUN_FINISHED, SITE_DROPPED, Run
from entente_common.contracts.site import Preflight
from entente_common.errors import Conflict
from entente_common.log import get_logger
from entente_server.coordination.launcher import RunLauncher
from entente_server.kit.bell import Bell
from entente_server.runs.preflight import preflight, require_enough
from entente_server.runs.service import RunService
from entente_server.settings import ServerDirectory
from entente_server.sites.service import SiteService

_log = get_logger(__name__)


class RunDesk:
    """Ties runs in the database to their ServerApp processes.

    Attributes:
        runs: Runs in the database.
        bell: Rings whenever something happened in any run.
    """

    def __init__(
        self,
        *,
        runs: RunService,
        sites: SiteService,
        launcher: RunLauncher,
        directory: ServerDirectory,
        code_digest: str,
    ) -> None:
        self.runs = runs
        self.bell = Bell()
        self._sites = sites
        self._launcher = launcher
        self._directory = directory
        self._code_digest = code_digest
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def model_path(self, run_id: str) -> Path:
        """Where the model of a run lies once it is released.

        Raises:
            NotFound: There is no such run.
        """
        return self._directory.run(self.runs.get(run_id).id) / "model.safetensors"

    def preflight(self, job: Job) -> Preflight:
        """Judge all sites for `job`."""
        return preflight(job, self._sites.list_sites(), code_digest=self._code_digest)

    async def submit(self, job: Job, *, actor: str) -> Run:
        """Start a run of `job` at all eligible sites.

        Raises:
            Conflict: Too few sites can take part.
        """
        sites = require_enough(job, await asyncio.to_thread(self.preflight, job))
        run = await asyncio.to_thread(
            self.runs.create, job, sites=sites, code_digest=self._code_digest, actor=actor
        )
        _log.info("run submitted", run=run.id, job=run.job_digest, sites=len(sites))
        self._tasks[run.id] = asyncio.create_task(self._drive(run, job, sites))
        return run

    async def abort(self, run_id: str, *, actor: str) -> Run:
        """End a run.

        Raises:
            Conflict: It has ended already.
        """
        run = await asyncio.to_thread(self.runs.get, run_id)
        if run.ended:
            raise Conflict(f"Run {run_id} has ended: {run.status}.", hint="Nothing is left to do.")
        await asyncio.to_thread(self.runs.note, run_id, actor=actor, action="run.aborted")
        await self._end(run_id, status="aborted", reason=f"Aborted by {actor}.")
        return await asyncio.to_thread(self.runs.get, run_id)

    async def close(self) -> None:
        """End all runs because the coordinator stops."""
        for run_id in list(self._tasks):
            await self._end(run_id, status="failed", reason="The coordinator was stopped.")

    async def _end(self, run_id: str, *, status: Any, reason: str) -> None:  # noqa: ANN401
        # The state first: what the process says while it ends comes too late to count.
        await asyncio.to_thread(self.runs.finish, run_id, status=status, reason=reason)
        self.bell.ring()
        task = self._tasks.get(run_id)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _drive(self, run: Run, job: Job, sites: list[str]) -> None:
        try:
            nodes = await asyncio.to_thread(self._sites.node_ids, sites)

            async def record(kind: str, data: Mapping[str, Any]) -> None:
                _log_end(run.id, kind, data)
                await asyncio.to_thread(self.runs.record, run.id, kind, data)
                self.bell.ring()

            await self._launcher.run(run.id, job, nodes=nodes, record=record)
            await asyncio.to_thread(
                self.runs.finish,
                run.id,
                status="failed",
                reason="The run's process ended unexpectedly; its log is in the run's directory.",
            )
        except Exception as error:  # noqa: BLE001 - whatever fails, the run gets a final state
            _log.exception("run could not be driven", run=run.id)
            reason = f"{type(error).__name__} while the run was started; see the coordinator's log."
            await asyncio.to_thread(self.runs.finish, run.id, status="failed", reason=reason)
        finally:
            self.bell.ring()
            self._tasks.pop(run.id, None)


def _log_end(run_id: str, kind: str, data: Mapping[str, Any]) -> None:
    """Leave a line about what an operator should know of."""
    if kind == SITE_DROPPED:
        _log.warning("site left the run", run=run_id, site=data["site"], reason=data["reason"])
    elif kind == RUN_FINISHED:
        _log.info("run ended", run=run_id, status=data["status"], reason=data.get("reason"))
