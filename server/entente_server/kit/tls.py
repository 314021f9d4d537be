"""TLS listeners of the coordinator's web servers, whose refusals are logged."""

from __future__ import annotations

import secrets
import ssl
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from entente_common.log import get_logger
from entente_server.sitechannel.tls import ServerTls

_log = get_logger(__name__)


class _LoggedHandshake(ssl.SSLObject):
    """Says in the log why a handshake failed; asyncio keeps silent about it."""

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            _log.warning("refused: TLS handshake failed", reason=error.reason or str(error))
            raise


def server_context(tls: ServerTls, *, require_client: bool) -> ssl.SSLContext:
    """A server-side context: TLS 1.2 or newer, our certificate, and on demand a site's.

    Args:
        tls: Certificate, key and authority.
        require_client: Whether the other side must show a certificate of the authority.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslobject_class = _LoggedHandshake
    _load_key(context, tls)
    if require_client:
        context.load_verify_locations(cadata=tls.ca_pem.decode())
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load_key(context: ssl.SSLContext, tls: ServerTls) -> None:
    """Python's ssl reads keys from files only: hand it an encrypted one for the moment it takes."""
    password = secrets.token_urlsafe(32)
    key = serialization.load_pem_private_key(tls.key_pem, password=None)
    sealed = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password.encode()),
    )
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "server.pem"
        path.write_bytes(sealed + tls.certificate_pem)
        context.load_cert_chain(path, password=password)
