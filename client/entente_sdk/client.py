"""The coordinator's REST API as Python calls: one method an operation, wire models in and out.

Every error a method raises is an `EntenteError`; the ones of the coordinator arrive as the same
class they left with.

Example:
    >>> with Client.from_environment() as client:  # doctest: +SKIP
    ...     run = client.submit(load_job(Path("job.yaml")).document())
    ...     for event in client.events(run.id):
    ...         print(event.kind)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from entente_common.contracts.run import RUN_FINISHED, Run, RunEvent
from entente_common.contracts.site import Invitation, Preflight, Site
from entente_common.errors import Unreachable
from entente_sdk.connection import Connection, find_connection
from entente_sdk.events import read_events
from entente_sdk.transport import Transport, parse

_RECONNECT_DELAYS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0)


class Health(BaseModel):
    """What the coordinator says of itself; further members are allowed."""

    model_config = ConfigDict(frozen=True, extra="allow")

    status: str


class _Sites(BaseModel):
    items: list[Site]


class _Runs(BaseModel):
    items: list[Run]


class _LogIdentity(BaseModel):
    log_key: str


class Client:
    """One caller's view of one coordinator.

    Args:
        base_url: `https://host:port` of the coordinator's API.
        token: The caller's bearer token.
        ca_file: PEM file of the only authority trusted; `None` trusts those of this machine.
        timeout_s: How long to wait for a connection, and for each piece of an answer.
        sleep: Waits between reconnections of an event stream.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str,
        ca_file: Path | None = None,
        timeout_s: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = Transport(base_url, token=token, ca_file=ca_file, timeout_s=timeout_s)
        self._sleep = sleep

    @classmethod
    def from_environment(cls) -> Self:
        """A client for the coordinator that the `ENTENTE_…` variables name.

        Raises:
            InvalidSettings: A variable is missing or wrong.
        """
        return cls.to(find_connection())

    @classmethod
    def to(cls, connection: Connection) -> Self:
        """A client for `connection`."""
        return cls(connection.url, token=connection.token, ca_file=connection.ca_file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the connections."""
        self._transport.close()

    def health(self) -> Health:
        """Whether the coordinator answers."""
        return self._transport.model(Health, "GET", "/v1/health")

    def invite(self, site: str, *, ttl_s: int = 86_400) -> Invitation:
        """An invitation with which `site` can enrol once, within `ttl_s` seconds."""
        body = {"site": site, "ttl_s": ttl_s}
        return self._transport.model(Invitation, "POST", "/v1/invitations", body=body)

    def sites(self) -> list[Site]:
        """All sites of the federation, with the cards of their datasets."""
        return self._transport.model(_Sites, "GET", "/v1/sites").items

    def remove_site(self, name: str) -> None:
        """Revoke a site: it takes part in nothing more.

        Raises:
            NotFound: No site of that name is enrolled.
        """
        self._transport.request("DELETE", f"/v1/sites/{quote(name, safe='')}")

    def audit_key(self) -> str:
        """The key that checkpoints of the audit trail are verified with, `NAME+ID+BASE64`."""
        return self._transport.model(_LogIdentity, "GET", "/v1/audit/key").log_key

    def audit_checkpoint(self) -> str:
        """A signed checkpoint of the audit trail as it stands: a text worth keeping elsewhere."""
        return self._transport.request("GET", "/v1/audit/checkpoint").decode()

    def audit_bundle(self) -> Iterator[bytes]:
        """The audit trail for offline verification, in pieces."""
        with self._transport.stream("/v1/audit/bundle", headers={}) as pieces:
            yield from pieces

    def preflight(self, job: Mapping[str, Any]) -> Preflight:
        """Which sites could take part in `job` now, and why the others could not."""
        return self._transport.model(Preflight, "POST", "/v1/preflight", body={"job": job})

    def submit(self, job: Mapping[str, Any]) -> Run:
        """Start a run of `job`; it goes on whether or not the caller stays."""
        return self._transport.model(Run, "POST", "/v1/runs", body={"job": job})

    def runs(self) -> list[Run]:
        """All runs, in the coordinator's order."""
        return self._transport.model(_Runs, "GET", "/v1/runs").items

    def run(self, run_id: str) -> Run:
        """One run as it stands now.

        Raises:
            NotFound: There is no such run.
        """
        return self._transport.model(Run, "GET", _run_path(run_id))

    def abort(self, run_id: str) -> Run:
        """End a run early.

        Raises:
            Conflict: The run has already ended.
        """
        return self._transport.model(Run, "POST", f"{_run_path(run_id)}/abort")

    def model(self, run_id: str) -> bytes:
        """The trained model of a run, in safetensors format."""
        return self._transport.request("GET", f"{_run_path(run_id)}/model")

    def wait(self, run_id: str) -> Run:
        """The run once it has ended, in whatever way.

        Raises:
            Unreachable: The coordinator stayed silent for about 40 seconds.
        """
        for _ in self.events(run_id):
            pass
        return self.run(run_id)

    def events(self, run_id: str, *, after: int = 0) -> Iterator[RunEvent]:
        """Events of a run, each exactly once and in order, up to its end.

        A broken stream is taken up again after the last event seen.

        Args:
            run_id: The run to follow.
            after: Number of the last event already known; 0 starts from the beginning.

        Raises:
            Unreachable: The coordinator stayed silent for about 40 seconds.
        """
        failures, had_ended = 0, False
        while True:
            seen = after
            try:
                for event in self._stream(run_id, after=after):
                    after = event.seq
                    yield event
                    if event.kind == RUN_FINISHED:
                        return
                if had_ended and after == seen:
                    return
                # Asked after the stream, so that one more stream brings what came in between.
                had_ended = self.run(run_id).ended
            except Unreachable:
                failures = 1 if after > seen else failures + 1
                if failures > len(_RECONNECT_DELAYS_S):
                    raise
            else:
                failures = 0
            self._sleep(_RECONNECT_DELAYS_S[max(failures - 1, 0)])

    def _stream(self, run_id: str, *, after: int) -> Iterator[RunEvent]:
        headers = {"accept": "text/event-stream", "last-event-id": str(after)}
        with self._transport.stream(f"{_run_path(run_id)}/events", headers=headers) as chunks:
            for message in read_events(chunks):
                event = parse(RunEvent, message.data)
                if event.seq > after:
                    after = event.seq
                    yield event


def _run_path(run_id: str) -> str:
    return f"/v1/runs/{quote(run_id, safe='')}"
