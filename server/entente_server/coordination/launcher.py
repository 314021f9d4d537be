"""Starts one ServerApp process a run, and listens to what it says."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from entente_common.contracts.job import Job
from entente_common.log import get_logger
from entente_common.protocol.bundle import BUNDLE_ID
from entente_server.coordination.superlink import SuperLink
from entente_server.settings import ServerDirectory

_log = get_logger(__name__)

Record = Callable[[str, Mapping[str, Any]], Awaitable[None]]
_MAX_EVENT_BYTES = 16 * 1024 * 1024
_LEAVE_S = 5.0


class RunLauncher:
    """Launches runs of one application bundle on one SuperLink."""

    def __init__(
        self,
        superlink: SuperLink,
        *,
        directory: ServerDirectory,
        runtime_address: str,
        ca_pem: bytes,
        bundle: bytes,
        version: str,
    ) -> None:
        self._superlink = superlink
        self._directory = directory
        self._runtime_address = runtime_address
        self._ca_pem = ca_pem
        self._bundle = bundle
        self._version = version

    async def run(self, run_id: str, job: Job, *, nodes: Mapping[str, int], record: Record) -> None:
        """Run `job` at `nodes`; pass every event to `record`; return when the process has ended.

        When the caller is cancelled the process is ended first.
        """
        flower_run = await asyncio.to_thread(
            self._superlink.create_run,
            bundle=self._bundle,
            bundle_id=BUNDLE_ID,
            version=self._version,
        )
        directory = self._directory.run(run_id)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        order = {
            "run": run_id,
            "job": job.document(),
            "job_digest": job.digest(),
            "ca_pem": self._ca_pem.decode(),
            "nodes": dict(nodes),
            "runtime_address": self._runtime_address,
            "token": flower_run.token,
            "flower_home": str(self._directory.flower_home / "serverapp"),
            "model_path": str(directory / "model.safetensors"),
        }
        process = await _start(directory / "serverapp.log")
        try:
            await _hand_over(process, order)
            await _listen(process, record)
        finally:
            await _end(process)
            await asyncio.to_thread(
                self._superlink.end_run, flower_run, reason="The run's process ended."
            )
            _log.info("run process ended", run=run_id, exit_code=process.returncode)


async def _start(log: Path) -> asyncio.subprocess.Process:
    with log.open("ab") as stderr:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "entente_server.coordination.server_app",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            limit=_MAX_EVENT_BYTES,
            start_new_session=True,
        )


async def _hand_over(process: asyncio.subprocess.Process, order: Mapping[str, Any]) -> None:
    # The pipe stays open behind the order: it is the process's lifeline.
    if process.stdin is not None:
        process.stdin.write(json.dumps(order).encode() + b"\n")
        await process.stdin.drain()


async def _listen(process: asyncio.subprocess.Process, record: Record) -> None:
    if process.stdout is None:
        return
    async for line in process.stdout:
        event = json.loads(line)
        await record(event["kind"], event["data"])


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        try:
            await asyncio.wait_for(process.wait(), 1.0)
        except TimeoutError:
            process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _LEAVE_S)
    except TimeoutError:
        process.kill()
        await process.wait()
