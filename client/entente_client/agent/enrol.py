"""Enrolment: from an invitation file to an identity of one's own.

The key is made here and never leaves; only a signing request does. All files of the new identity
are prepared aside and take their place in one rename once the coordinator has said yes, and
`agent.json` is written last. A refusal or a crash leaves the directory as not enrolled.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import grpc

from entente_client.agent.lock import hold_directory
from entente_client.agent.rpc_error import error_of_call
from entente_client.agent.settings import SETTINGS_FILE, AgentSettings
from entente_client.agent.site_identity import (
    IDENTITY,
    SiteIdentity,
    authority_context,
    check_certificate,
    write_identity,
)
from entente_common import __version__
from entente_common.clock import rfc3339, utc_now
from entente_common.contracts.site import Invitation
from entente_common.errors import (
    Conflict,
    DataDirectoryProblem,
    EnrolmentRefused,
    EntenteError,
    UntrustedCertificate,
)
from entente_common.identity.atomic_file import make_private_directory
from entente_common.identity.certificates import make_csr
from entente_common.identity.keys import generate_key
from entente_common.identity.keystore import Vault
from entente_common.protocol.generated.site_pb2 import EnrolReply, EnrolRequest
from entente_common.protocol.generated.site_pb2_grpc import EnrolmentStub

_TIMEOUT_S = 30.0


def enrol(directory: Path, invitation: Invitation) -> AgentSettings:
    """Enrol this directory as the site the invitation names.

    A directory whose certificate has expired may be enrolled again; its datasets stay.

    Raises:
        Conflict: The directory already holds a valid enrolment.
        AlreadyRunning: An agent runs in the directory.
        EnrolmentRefused: The invitation has expired, or the coordinator refuses the token.
        UntrustedCertificate: The coordinator is not the one that invited.
        Unreachable: The coordinator does not answer.
        DataDirectoryProblem: The directory cannot be used.
    """
    _check_expiry(invitation)
    make_private_directory(directory)
    with hold_directory(directory):
        _check_vacant(directory)
        vault = Vault.open_or_create(directory)
        with _aside(directory) as prepared:
            key = generate_key()
            reply = _call(invitation, csr_pem=make_csr(key))
            ca_pem = invitation.ca_pem.encode("ascii")
            _check_reply(reply, invitation)
            check_certificate(
                reply.certificate_pem, site=invitation.site, private_key=key, ca_pem=ca_pem
            )
            write_identity(
                prepared,
                private_key=key,
                vault=vault,
                certificate_pem=reply.certificate_pem,
                ca_pem=ca_pem,
            )
            return _commit(directory, prepared, invitation)


def _check_expiry(invitation: Invitation) -> None:
    if utc_now() > datetime.fromisoformat(invitation.expires_at):
        raise EnrolmentRefused(f"The invitation expired on {invitation.expires_at}.")


def _check_vacant(directory: Path) -> None:
    if not (directory / SETTINGS_FILE).exists():
        return
    try:
        site = SiteIdentity.load(directory).site
    except UntrustedCertificate:
        return  # expired: this is what enrolling again is for
    raise Conflict(
        f"{directory} is already enrolled as {site!r}.",
        hint="Run it with `entente agent run`, or enrol another site in another directory.",
    )


@contextmanager
def _aside(directory: Path) -> Iterator[Path]:
    try:
        prepared = Path(tempfile.mkdtemp(dir=directory, prefix=".enrolling."))
    except OSError as fault:
        raise DataDirectoryProblem(f"{directory} cannot be used: {fault.strerror}.") from fault
    try:
        yield prepared
    finally:
        shutil.rmtree(prepared, ignore_errors=True)


def _call(invitation: Invitation, *, csr_pem: bytes) -> EnrolReply:
    address, ca_pem = invitation.coordinator.enrolment, invitation.ca_pem.encode("ascii")
    authority_context(ca_pem)  # refuses a damaged CA before anything is sent
    request = EnrolRequest(token=invitation.token, csr_pem=csr_pem, version=__version__)
    with grpc.secure_channel(address, grpc.ssl_channel_credentials(ca_pem)) as channel:
        try:
            stub = EnrolmentStub(channel)  # type: ignore[no-untyped-call]
            reply: EnrolReply = stub.Enrol(request, timeout=_TIMEOUT_S)
        except grpc.RpcError as fault:
            error: EntenteError = error_of_call(
                fault, address=address, tls=partial(authority_context, ca_pem)
            )
            raise error from None
    return reply


def _check_reply(reply: EnrolReply, invitation: Invitation) -> None:
    if reply.ca_pem.strip() != invitation.ca_pem.encode("ascii").strip():
        raise UntrustedCertificate("The coordinator answers with another authority than invited.")
    if reply.site != invitation.site:
        raise UntrustedCertificate(
            f"The coordinator enrols {reply.site!r}; the invitation is for {invitation.site!r}."
        )


def _commit(directory: Path, prepared: Path, invitation: Invitation) -> AgentSettings:
    settings = AgentSettings(
        site=invitation.site,
        coordinator=invitation.coordinator,
        enrolled_at=rfc3339(utc_now()),
    )
    try:
        (directory / SETTINGS_FILE).unlink(missing_ok=True)
        if (directory / IDENTITY).exists():
            shutil.rmtree(directory / IDENTITY)
        prepared.rename(directory / IDENTITY)
    except OSError as fault:
        raise DataDirectoryProblem(f"{directory} cannot be written: {fault.strerror}.") from fault
    settings.store(directory)
    return settings
