"""A whole federation as processes of this machine: one coordinator, and an agent for each site.

Nothing is simulated here. Sites enrol with invitations, talk over mutual TLS on the loopback
address, and each reads its own directory only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from entente_common.errors import EntenteError, RunFailed, Unreachable
from entente_sdk.cli.site import write_invitation
from entente_sdk.client import Client
from entente_sdk.connection import find_connection
from entente_simulations.demo.processes import Child, ProcessGroup
from entente_simulations.demo.workspace import Workspace

COORDINATOR_START_S = 90.0
COMMAND_S = 120.0
SITES_READY_S = 180.0
_INVITATION_S = 600
_POLL_S = 0.2
_ANY_PORT = ("--api-port", "--fleet-port", "--channel-port", "--enrolment-port")
_HOST = "127.0.0.1"

Tell = Callable[[str], None]


@contextmanager
def running_federation(
    workspace: Workspace,
    *,
    sites: Sequence[str],
    dataset: str,
    job: Mapping[str, Any],
    tell: Tell,
) -> Iterator[Client]:
    """A coordinator and its sites, ready for `job`; all are gone when the block is left.

    Args:
        workspace: Where their directories are; `data` holds contract and rows.
        sites: Names of the sites.
        dataset: What each site calls its data.
        job: The job all sites must be eligible for before the block begins.
        tell: Takes one line of progress at a time.

    Raises:
        RunFailed: A process ended, or was not ready in time.
    """
    with ProcessGroup(logs=workspace.logs) as processes:
        try:
            tell("starting the coordinator")
            coordinator = _start_coordinator(workspace, processes)
            connection = find_connection(server_dir=workspace.coordinator, environment={})
            with Client.to(connection) as client:
                _await_health(client, coordinator)
                _bring_in(workspace, processes, client, sites=sites, dataset=dataset, tell=tell)
                tell("starting the sites")
                agents = [
                    processes.start(name, "agent", "run", "--dir", str(workspace.site(name)))
                    for name in sites
                ]
                _await_sites(client, [coordinator, *agents], job=job, expected=len(sites))
                yield client
        finally:
            tell("stopping all processes")


def _start_coordinator(workspace: Workspace, processes: ProcessGroup) -> Child:
    ports = [word for option in _ANY_PORT for word in (option, "0")]
    directory = str(workspace.coordinator)
    coordinator = processes.start(
        "coordinator", "server", "run", "--dir", directory, "--host", _HOST, *ports
    )
    ready = workspace.coordinator / "server.json"
    _await(ready.exists, [coordinator], what="the coordinator", timeout_s=COORDINATOR_START_S)
    return coordinator


def _await_health(client: Client, coordinator: Child) -> None:
    def answers() -> bool:
        try:
            client.health()
        except Unreachable:
            return False
        return True

    _await(answers, [coordinator], what="the coordinator", timeout_s=COORDINATOR_START_S)


def _bring_in(
    workspace: Workspace,
    processes: ProcessGroup,
    client: Client,
    *,
    sites: Sequence[str],
    dataset: str,
    tell: Tell,
) -> None:
    """Enrol every site and register its rows, as each site's operator would."""
    tell(f"enrolling {len(sites)} sites: {', '.join(sites)}")
    enrolments = []
    for name in sites:
        invitation, directory = workspace.invitation(name), str(workspace.site(name))
        write_invitation(client.invite(name, ttl_s=_INVITATION_S), invitation)
        words = ("agent", "enrol", "--dir", directory, "--invitation", str(invitation))
        enrolments.append(processes.start(f"{name} enrol", *words))
    _finish(enrolments)
    tell("each site registers its own rows")
    contract = str(workspace.data / "contract.yaml")
    registrations = []
    for name in sites:
        directory, source = str(workspace.site(name)), str(workspace.data / f"{name}.csv")
        words = ("agent", "data", "add", dataset, "--dir", directory)
        files = ("--contract", contract, "--source", source)
        registrations.append(processes.start(f"{name} data", *words, *files))
    _finish(registrations)


def _finish(commands: Sequence[Child]) -> None:
    for command in commands:
        command.wait(timeout_s=COMMAND_S)


def _await_sites(
    client: Client, processes: Sequence[Child], *, job: Mapping[str, Any], expected: int
) -> None:
    def ready() -> bool:
        return len(client.preflight(job).eligible) == expected

    try:
        _await(ready, processes, what="every site", timeout_s=SITES_READY_S)
    except RunFailed as error:
        raise RunFailed(f"{error.detail} {_ineligible(client, job)}", hint=error.hint) from error


def _ineligible(client: Client, job: Mapping[str, Any]) -> str:
    try:
        waiting = client.preflight(job).ineligible
    except EntenteError:
        return ""
    return " ".join(f"{site.site}: {site.reason}" for site in waiting)


def _await(
    ready: Callable[[], bool], processes: Sequence[Child], *, what: str, timeout_s: float
) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        for process in processes:
            if process.exit_code is not None:
                raise process.failure()
        if time.monotonic() > deadline:
            logs = ", ".join(str(process.log) for process in processes)
            raise RunFailed(
                f"{what} was not ready within {timeout_s:.0f} s.", hint=f"Read the logs: {logs}"
            )
        time.sleep(_POLL_S)
