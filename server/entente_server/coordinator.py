"""One coordinator: its parts, brought up in order and taken down in reverse.

- database, authority, first access token;
- SuperLink, behind the fleet gate (mutual TLS, for sites) and the runtime gate (loopback, for
  ServerApps);
- site channel (gRPC) and REST application (TLS).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import uvicorn

from entente_common import __version__
from entente_common.audit.keys import SignerKey
from entente_common.contracts.site import Coordinator as CoordinatorAddresses
from entente_common.errors import AlreadyRunning, AuditBroken
from entente_common.identity.atomic_file import make_private_directory, write_atomically
from entente_common.identity.certificates import CertificateAuthority, fingerprint
from entente_common.identity.keystore import Vault
from entente_common.log import get_logger
from entente_common.protocol.bundle import application_bundle, code_digest
from entente_server.app import create_app
from entente_server.audit.log import AuditLog, log_key
from entente_server.coordination.gates import Gate, gates
from entente_server.coordination.launcher import RunLauncher
from entente_server.kit.access import ensure_admin_token
from entente_server.kit.database import Database
from entente_server.kit.tls import server_context
from entente_server.runs.desk import RunDesk
from entente_server.runs.service import RunService
from entente_server.settings import (
    ServerDirectory,
    ServerSettings,
    check_public_host,
    listen,
    resolve_ports,
)
from entente_server.sitechannel.service import SiteChannelServer
from entente_server.sitechannel.tls import ServerTls
from entente_server.sites.service import SiteService

if TYPE_CHECKING:
    from entente_server.coordination.superlink import SuperLink

_log = get_logger(__name__)
_LOOPBACK = "127.0.0.1"
_SIGN_EVERY_S = 60.0


async def serve(settings: ServerSettings, stop: asyncio.Event) -> None:
    """Run a coordinator until `stop` is set, then take everything down.

    Raises:
        InvalidSettings: The public host cannot be reached, or two listeners share a port.
        AlreadyRunning: Another coordinator uses the data directory.
        PortTaken: A port is in use.
        DataDirectoryProblem: The directory cannot be used.
    """
    check_public_host(settings)
    make_private_directory(settings.directory)
    with _lock(ServerDirectory(settings.directory)):
        async with _running(resolve_ports(settings)):
            await stop.wait()
            _log.info("stopping")


@asynccontextmanager
async def _running(settings: ServerSettings) -> AsyncIterator[None]:
    directory = ServerDirectory(settings.directory)
    async with AsyncExitStack() as stack:
        vault = Vault.open_or_create(directory.root)
        authority = CertificateAuthority.create_or_load(directory.root, vault)
        tls = _server_tls(settings, authority)
        database = Database(directory.database)
        stack.callback(database.close)
        ensure_admin_token(database, directory.admin_token)
        superlink = await asyncio.to_thread(_superlink, directory)
        fleet, runtime = gates(superlink.app)
        runtime_port = await _web(stack, runtime, host=_LOOPBACK, port=0, tls=None, name="runtime")
        sites = SiteService(
            database, authority=authority, nodes=superlink, coordinator=_addresses(settings)
        )
        launcher = RunLauncher(
            superlink,
            directory=directory,
            runtime_address=f"{_LOOPBACK}:{runtime_port}",
            ca_pem=tls.ca_pem,
            bundle=application_bundle(),
            version=__version__,
        )
        runs = RunService(database)
        for run_id in runs.close_stale():
            _log.warning("run closed: the coordinator was restarted", run=run_id)
        desk = RunDesk(
            runs=runs, sites=sites, launcher=launcher, directory=directory,
            code_digest=code_digest(),
        )  # fmt: skip
        host, ports = settings.host, settings.ports
        mutual = server_context(tls, require_client=True)
        await _web(stack, fleet, host=host, port=ports["fleet"], tls=mutual, name="fleet")
        channel = SiteChannelServer(
            sites, tls=tls, host=host, enrolment_port=ports["enrolment"],
            channel_port=ports["channel"],
        )  # fmt: skip
        await channel.start()
        stack.push_async_callback(channel.stop)
        audit_log = AuditLog(database, signer=_log_key(vault, authority))
        stack.push_async_callback(_cancel, asyncio.create_task(_sign_regularly(audit_log)))
        app = create_app(
            database=database, site_service=sites, desk=desk, audit_log=audit_log,
            code_digest=code_digest(),
        )  # fmt: skip
        one_way = server_context(tls, require_client=False)
        await _web(stack, app, host=host, port=ports["api"], tls=one_way, name="api")
        stack.push_async_callback(desk.close)
        _announce(settings, directory)
        yield


def _log_key(vault: Vault, authority: CertificateAuthority) -> SignerKey:
    return log_key(vault, authority_fingerprint=fingerprint(authority.certificate_pem))


async def _sign_regularly(audit_log: AuditLog) -> None:
    """Sign a checkpoint of the audit trail every minute in which it grew."""
    while True:
        try:
            await asyncio.to_thread(audit_log.checkpoint)
        except AuditBroken as error:
            _log.critical("audit trail broken", reason=error.detail)
        await asyncio.sleep(_SIGN_EVERY_S)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _superlink(directory: ServerDirectory) -> SuperLink:
    from entente_common.protocol.flower import prepare_flower

    prepare_flower(directory.flower_home)
    from entente_server.coordination.superlink import SuperLink

    return SuperLink(database=directory.flower_database)


def _server_tls(settings: ServerSettings, authority: CertificateAuthority) -> ServerTls:
    """A fresh server certificate at every start: its key lives in memory only."""
    hosts = list(dict.fromkeys([settings.public_host, settings.host, _LOOPBACK, "localhost"]))
    certificate_pem, key_pem = authority.issue_server(hosts)
    return ServerTls(
        certificate_pem=certificate_pem, key_pem=key_pem, ca_pem=authority.certificate_pem
    )


def _addresses(settings: ServerSettings) -> CoordinatorAddresses:
    return CoordinatorAddresses(
        enrolment=settings.address("enrolment"),
        channel=settings.address("channel"),
        fleet=settings.address("fleet"),
    )


def _announce(settings: ServerSettings, directory: ServerDirectory) -> None:
    document = {
        "api": f"https://{settings.address('api')}",
        **{name: settings.address(name) for name in ("fleet", "channel", "enrolment")},
        "ports": settings.ports,
        "pid": os.getpid(),
        "version": __version__,
    }
    write_atomically(directory.address_file, json.dumps(document, indent=2).encode() + b"\n")
    _log.info("ready", api=document["api"], directory=str(directory.root))


class _Web(uvicorn.Server):
    """A web server inside our event loop, which leaves signals to the coordinator."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _web(
    stack: AsyncExitStack,
    app: Callable[..., Any],
    *,
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    name: str,
) -> int:
    """Serve `app` until the stack unwinds; return the port."""
    sock = listen(host, port, listener=name)
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        loop="none",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=2,
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )
    server = _Web(config)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started:
        if task.done():
            await task
        await asyncio.sleep(0.01)

    async def leave() -> None:
        server.should_exit = True
        if isinstance(app, Gate):
            app.release()
        await asyncio.gather(task, return_exceptions=True)
        sock.close()

    stack.push_async_callback(leave)
    return int(sock.getsockname()[1])


@contextlib.contextmanager
def _lock(directory: ServerDirectory) -> Iterator[None]:
    """Hold the data directory; the lock ends with the process, however it ends."""
    with (directory.root / "server.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunning(f"A coordinator already runs on {directory.root}.") from error
        yield
