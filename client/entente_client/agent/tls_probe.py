"""Why a connection failed. gRPC only says "unavailable"; a bare TLS handshake tells the reason."""

from __future__ import annotations

import socket
import ssl
import time

from entente_common.errors import EntenteError, Unreachable, UntrustedCertificate

_CONNECT_TIMEOUT_S = 3.0
# In TLS 1.3 the client's certificate is judged after the client is done with the handshake.
_ALERT_TIMEOUT_S = 1.0
_SECOND_LOOK_S = 0.3
_CLOCK_FAULTS = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


def diagnose(address: str, context: ssl.SSLContext) -> EntenteError:
    """Connect once more to `address` (`host:port`), shake hands, and say what is wrong.

    Returns:
        `UntrustedCertificate` when either side refuses the other's certificate, `Unreachable`
        otherwise, also when nothing is wrong now.
    """
    context.set_alpn_protocols(["h2"])
    try:
        if _speaks(address, context) or _speaks_after_all(address, context):
            return Unreachable(f"{address} answers, but the coordinator's service does not.")
    except ssl.SSLCertVerificationError as fault:
        return _untrusted(address, fault)
    except TimeoutError:
        return Unreachable(f"Nothing answers at {address} in time.")
    except ssl.SSLError as fault:
        return _failed(address, fault)
    except (OSError, ValueError) as fault:
        return Unreachable(f"{address} cannot be reached: {_reason(fault)}.")
    return _refused(address)


def _speaks(address: str, context: ssl.SSLContext) -> bool:
    """Whether the other side says anything after the handshake; HTTP/2 servers speak first.

    gRPC servers that refuse the client's certificate hang up here, often without a TLS alert.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    with (
        socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        secure.settimeout(_ALERT_TIMEOUT_S)
        return bool(secure.recv(1))


def _speaks_after_all(address: str, context: ssl.SSLContext) -> bool:
    """Ask again: a coordinator that was just stopping is gone a moment later."""
    time.sleep(_SECOND_LOOK_S)
    return _speaks(address, context)


def _untrusted(address: str, fault: ssl.SSLCertVerificationError) -> EntenteError:
    hint = None
    if fault.verify_code in _CLOCK_FAULTS:
        hint = "Check this machine's clock; if it is right, the coordinator's admin must renew."
    return UntrustedCertificate(
        f"{address} shows a certificate that cannot be trusted: {fault.verify_message}.", hint=hint
    )


def _failed(address: str, fault: ssl.SSLError) -> EntenteError:
    if "ALERT" in (fault.reason or ""):
        return _refused(address)
    return Unreachable(
        f"{address} does not speak TLS as the coordinator does ({fault.reason}).",
        hint="Check the address and the port; a proxy in between must pass TLS through.",
    )


def _refused(address: str) -> EntenteError:
    return UntrustedCertificate(
        f"{address} refuses this site's certificate.",
        hint="Ask the coordinator's admin for a new invitation and enrol again.",
    )


def _reason(fault: Exception) -> str:
    return getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
