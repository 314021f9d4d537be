"""What an operator decides about a coordinator, and where it keeps things."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path

from entente_common.errors import InvalidSettings, PortTaken

LISTENERS = ("api", "fleet", "channel", "enrolment")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Settings of one coordinator.

    Attributes:
        directory: Its data directory.
        host: The address it listens on.
        public_host: The name or address under which sites and people reach it.
        ports: Port by listener (`LISTENERS`); 0 takes the one used before, else a free one.
    """

    directory: Path
    host: str
    public_host: str
    ports: dict[str, int]

    def address(self, listener: str) -> str:
        """`host:port` of a listener, as others reach it."""
        return f"{self.public_host}:{self.ports[listener]}"


@dataclass(frozen=True, slots=True)
class ServerDirectory:
    """Paths inside a coordinator's data directory."""

    root: Path

    @property
    def database(self) -> Path:
        """Our own tables."""
        return self.root / "entente.db"

    @property
    def flower_home(self) -> Path:
        """Flower's files."""
        return self.root / "flower"

    @property
    def flower_database(self) -> Path:
        """Flower's link state."""
        return self.flower_home / "superlink.db"

    @property
    def address_file(self) -> Path:
        """Written once the coordinator is ready: addresses and process id."""
        return self.root / "server.json"

    @property
    def admin_token(self) -> Path:
        """The first admin's access token."""
        return self.root / "admin.token"

    @property
    def ca_certificate(self) -> Path:
        """The authority's certificate."""
        return self.root / "ca.pem"

    def run(self, run_id: str) -> Path:
        """Log and model of one run."""
        return self.root / "runs" / run_id


def check_public_host(settings: ServerSettings) -> None:
    """Refuse a public host that nobody can reach.

    Raises:
        InvalidSettings: It is the address that means "all addresses of this machine".
    """
    if settings.public_host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        raise InvalidSettings(
            f"Sites cannot reach the coordinator under {settings.public_host!r}.",
            hint="Name the host they will use with --public-host.",
        )


def resolve_ports(settings: ServerSettings) -> ServerSettings:
    """Settings whose ports are all named and free.

    A port of 0 becomes the one this directory's coordinator used before, so that enrolled sites
    find it again, or a free one.

    Raises:
        PortTaken: A named port is in use.
        InvalidSettings: Two listeners name the same port.
    """
    previous = _previous_ports(ServerDirectory(settings.directory).address_file)
    wanted = {name: settings.ports.get(name) or previous.get(name, 0) for name in LISTENERS}
    named = [port for port in wanted.values() if port]
    if len(set(named)) != len(named):
        raise InvalidSettings("Two listeners name the same port.", hint="Give each its own port.")
    probes = [_probe(settings.host, port, listener=name) for name, port in wanted.items()]
    ports = {
        name: int(probe.getsockname()[1]) for name, probe in zip(LISTENERS, probes, strict=True)
    }
    for probe in probes:
        probe.close()
    return ServerSettings(
        directory=settings.directory,
        host=settings.host,
        public_host=settings.public_host,
        ports=ports,
    )


def listen(host: str, port: int, *, listener: str) -> socket.socket:
    """A listening socket on `host:port`; port 0 takes a free one.

    Raises:
        PortTaken: The port is in use, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise PortTaken(
            f"{host}:{port} for the {listener} listener: {error.strerror}.",
            hint=f"Stop what listens there, or choose another with --{listener}-port.",
        ) from error
    sock.listen(256)
    return sock


def _probe(host: str, port: int, *, listener: str) -> socket.socket:
    return listen(host, port, listener=listener)


def _previous_ports(path: Path) -> dict[str, int]:
    try:
        ports = json.loads(path.read_text())["ports"]
        return {name: int(ports[name]) for name in LISTENERS}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
