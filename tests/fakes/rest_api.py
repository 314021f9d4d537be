"""A tiny coordinator API over real HTTPS, for tests of its clients.

It answers from a table of canned replies and remembers what it was asked. Event streams can be cut
after any event, as networks do.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TOKEN = "ent_adm_" + "t" * 32


@dataclass(frozen=True)
class Reply:
    """One canned answer."""

    status: int = 200
    body: bytes = b"{}"
    content_type: str = "application/json"

    @classmethod
    def of(cls, document: Any, *, status: int = 200) -> Reply:
        return cls(status, json.dumps(document).encode())

    @classmethod
    def problem(cls, document: Any) -> Reply:
        body = json.dumps(document).encode()
        return cls(document["status"], body, "application/problem+json")


@dataclass(frozen=True)
class Asked:
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class RestApi:
    """What the API answers, and what it was asked."""

    url: str = ""
    ca_file: Path = Path()
    replies: dict[tuple[str, str], Reply] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    cut_after: list[int] = field(default_factory=list)
    """Numbers of the events after which a stream breaks, one a connection; then no more cuts."""

    def resumed_from(self) -> list[str]:
        """The `Last-Event-ID` of each event stream that was opened."""
        streams = [ask for ask in self.asked if ask.path.endswith("/events")]
        return [ask.headers.get("last-event-id", "") for ask in streams]


@contextmanager
def serve_rest_api(directory: Path) -> Iterator[RestApi]:
    """Serve on a free port of the loopback address until the block is left."""
    api = RestApi(ca_file=directory / "ca.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": api}))
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_authority_and_server(directory))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        api.url = f"https://127.0.0.1:{server.server_port}"
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_authority_and_server(directory: Path) -> tuple[Path, Path]:
    """Write `ca.pem` and a server certificate under it; return certificate and key."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    authority = (
        _certificate(ca_name, ca_name, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "coordinator")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        _certificate(name, ca_name, key)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "ca.pem").write_bytes(authority.public_bytes(pem))
    (directory / "server.pem").write_bytes(certificate.public_bytes(pem))
    (directory / "server.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return directory / "server.pem", directory / "server.key"


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: RestApi

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the tests' output clean."""

    def _answer(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.api.asked.append(Asked(self.command, self.path, headers, body))
        if headers.get("authorization") != f"Bearer {TOKEN}":
            self._send(Reply.problem(UNAUTHENTICATED))
        elif self.path.endswith("/events") and (self.command, self.path) not in self.api.replies:
            self._stream(after=int(headers.get("last-event-id", 0)))
        else:
            missing = Reply.problem(NOT_FOUND)
            self._send(self.api.replies.get((self.command, self.path), missing))

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("content-type", reply.content_type)
        self.send_header("content-length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def _stream(self, *, after: int) -> None:
        cut = self.api.cut_after.pop(0) if self.api.cut_after else None
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self._chunk(b": hello\n\n")
        for event in self.api.events:
            if event["seq"] <= after:
                continue
            text = f"id: {event['seq']}\nevent: {event['kind']}\ndata: {json.dumps(event)}\n\n"
            # Two pieces, so that a reader must put lines together itself.
            encoded = text.encode()
            self._chunk(encoded[:9])
            self._chunk(encoded[9:])
            if event["seq"] == cut:
                self.close_connection = True
                self.connection.close()
                return
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


UNAUTHENTICATED = {
    "title": "Authentication failed",
    "status": 401,
    "code": "auth.failed",
    "detail": "The token is not known.",
    "hint": "Check the token.",
}
NOT_FOUND = {
    "title": "Not found",
    "status": 404,
    "code": "not_found",
    "detail": "There is no such thing.",
    "hint": "List what exists.",
}
