"""The running agent: the site channel and the node's supervisor, side by side.

The node starts once the coordinator has first welcomed the site, so that a revoked or misdirected
site loads nothing. A refusal that ends the channel ends the node too. SIGTERM and SIGINT end both
in order; a second signal changes nothing.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from entente_client.agent.channel import SiteChannel
from entente_client.agent.lock import hold_directory
from entente_client.agent.site_identity import SiteIdentity
from entente_client.agent.state import StateKeeper
from entente_client.agent.supervisor import NodeSupervisor, node_command
from entente_common.contracts.dataset import DatasetCard
from entente_common.errors import EntenteError, ExitCode
from entente_common.identity.certificates import expires_at
from entente_common.log import get_logger
from entente_common.protocol.bundle import code_digest

DATASETS: Final = "datasets"
_WARN_DAYS = 14
_log = get_logger(__name__)


def run_agent(directory: Path, *, node: Sequence[str] | None = None) -> ExitCode:
    """Run the agent of `directory` until a signal ends it.

    Args:
        directory: The agent's directory.
        node: Another command for the node than the installed one.

    Returns:
        `OK` after SIGTERM, `INTERRUPTED` after SIGINT.

    Raises:
        AlreadyRunning: Another agent runs in the directory, or attends as the same site.
        DataDirectoryProblem: The directory is not enrolled or cannot be used.
        UntrustedCertificate: The site's or the coordinator's certificate is not valid.
        PermissionRefused: The site was revoked.
    """
    identity = SiteIdentity.load(directory)
    with hold_directory(directory):
        _warn_of_expiry(identity)
        return asyncio.run(_run(identity, node or node_command(directory)))


async def _run(identity: SiteIdentity, node: Sequence[str]) -> ExitCode:
    stop = asyncio.Event()
    outcome = [ExitCode.OK]
    _listen_to_signals(stop, outcome)
    keeper = StateKeeper(identity.directory)
    watcher = _Welcome(keeper)
    channel = SiteChannel(
        identity=identity,
        cards=lambda: read_cards(identity.directory),
        code_digest=code_digest(),
        watcher=watcher,
    )
    supervisor = NodeSupervisor(directory=identity.directory, command=node, watcher=keeper)
    failure: EntenteError | None = None
    try:
        await _side_by_side(channel, supervisor, welcomed=watcher.welcomed, stop=stop)
    except EntenteError as fault:
        failure = fault
        raise
    finally:
        keeper.stopped(failure)
    _log.info("agent stopped", site=identity.site)
    return outcome[0]


async def _side_by_side(
    channel: SiteChannel,
    supervisor: NodeSupervisor,
    *,
    welcomed: asyncio.Event,
    stop: asyncio.Event,
) -> None:
    async def supervise() -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (welcomed, stop)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await supervisor.run(stop)

    tasks = [asyncio.create_task(channel.run(stop)), asyncio.create_task(supervise())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    stop.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


class _Welcome:
    """Passes the channel's news on, and remembers the first welcome."""

    def __init__(self, keeper: StateKeeper) -> None:
        self._keeper = keeper
        self.welcomed = asyncio.Event()

    def online(self) -> None:
        self.welcomed.set()
        self._keeper.online()

    def offline(self, reason: EntenteError) -> None:
        self._keeper.offline(reason)


def read_cards(directory: Path) -> list[DatasetCard]:
    """The cards of all datasets registered in the agent's directory."""
    from entente_client.lake.catalogue import Catalogue

    return Catalogue(directory / DATASETS).cards()


def _listen_to_signals(stop: asyncio.Event, outcome: list[ExitCode]) -> None:
    def end(code: ExitCode) -> None:
        if not stop.is_set():
            outcome[0] = code
            stop.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, end, ExitCode.OK)
    loop.add_signal_handler(signal.SIGINT, end, ExitCode.INTERRUPTED)


def _warn_of_expiry(identity: SiteIdentity) -> None:
    from entente_common.clock import rfc3339, utc_now

    end = expires_at(identity.certificate_pem)
    if (end - utc_now()).days < _WARN_DAYS:
        _log.warning("certificate expires soon", site=identity.site, expires_at=rfc3339(end))
