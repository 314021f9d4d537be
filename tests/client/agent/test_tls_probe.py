"""The probe tells which side refused, and what to do about it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from entente_client.agent.enrol import enrol
from entente_client.agent.site_identity import SiteIdentity, authority_context
from entente_client.agent.tls_probe import diagnose
from entente_common.errors import EntenteError, Unreachable, UntrustedCertificate
from entente_common.identity.certificates import make_csr
from fakes.coordinator import make_authority, serving


def test_an_expired_site_certificate_is_refused_by_the_coordinator(tmp_path: Path) -> None:
    async def run() -> EntenteError:
        async with serving(tmp_path / "coordinator") as coordinator:
            home = tmp_path / "north"
            await asyncio.to_thread(enrol, home, coordinator.invite("north"))
            identity = SiteIdentity.load(home)
            expired = coordinator.authority.sign_site(
                make_csr(identity.private_key), site="north", days=0
            )
            (home / "identity" / "certificate.pem").write_bytes(expired)
            return await asyncio.to_thread(diagnose, coordinator.channel, identity.ssl_context())

    fault = asyncio.run(run())
    assert isinstance(fault, UntrustedCertificate)
    assert "refuses this site's certificate" in fault.detail
    assert "enrol again" in fault.hint


def test_a_foreign_coordinator_is_not_trusted(tmp_path: Path) -> None:
    async def run() -> EntenteError:
        other = make_authority(tmp_path / "other")
        async with serving(tmp_path / "coordinator") as coordinator:
            context = authority_context(other.certificate_pem)
            return await asyncio.to_thread(diagnose, coordinator.enrolment, context)

    fault = asyncio.run(run())
    assert isinstance(fault, UntrustedCertificate)
    assert "cannot be trusted" in fault.detail


def test_nothing_wrong_with_tls_is_unreachable(tmp_path: Path) -> None:
    async def run() -> EntenteError:
        async with serving(tmp_path / "coordinator") as coordinator:
            context = authority_context(coordinator.authority.certificate_pem)
            return await asyncio.to_thread(diagnose, coordinator.enrolment, context)

    fault = asyncio.run(run())
    assert isinstance(fault, Unreachable)
    assert "service" in fault.detail


def test_a_listener_that_never_speaks_is_unreachable(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        fault = diagnose(address, authority_context(authority.certificate_pem))
    assert isinstance(fault, Unreachable)
    assert "in time" in fault.detail


def test_a_closed_port_is_unreachable(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    fault = diagnose(address, authority_context(authority.certificate_pem))
    assert isinstance(fault, Unreachable)
    assert address in fault.detail
