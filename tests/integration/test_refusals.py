"""Who and what is refused, and that the log says so."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from entente_client.agent.site_identity import authority_context
from entente_client.node.fleet import connect
from entente_common.errors import (
    AuthenticationFailed,
    NotFound,
    PermissionRefused,
    Unreachable,
    UntrustedCertificate,
)
from entente_common.identity.certificates import CertificateAuthority, make_csr
from entente_common.identity.keys import PrivateKey, generate_key, private_pem
from entente_common.identity.keystore import Vault
from integration.harness import Federation, federation, make_job, wait_for


def client_context(
    authority: CertificateAuthority, key: PrivateKey, directory: Path, *, trusts: bytes
) -> ssl.SSLContext:
    """TLS of a client that `authority` certified as `impostor`, trusting `trusts`."""
    context = authority_context(trusts)
    certificate = authority.sign_site(make_csr(key), site="impostor")
    path = directory / "impostor.pem"
    path.write_bytes(private_pem(key, passphrase=None) + certificate)
    context.load_cert_chain(path)
    return context


def fleet_address(whole: Federation) -> str:
    return next(iter(whole.sites.values())).identity.coordinator.fleet


def test_a_client_of_another_authority_is_refused_and_logged(
    shared: Federation, tmp_path: Path
) -> None:
    foreign = CertificateAuthority.create_or_load(tmp_path, Vault.open_or_create(tmp_path))
    key = generate_key()
    trusts = (shared.coordinator.directory / "ca.pem").read_bytes()
    context = client_context(foreign, key, tmp_path, trusts=trusts)
    before = len(shared.coordinator.text())
    with (
        pytest.raises((UntrustedCertificate, Unreachable)),
        connect(
            address=fleet_address(shared), tls=context, private_key=key, memory=tmp_path / "node"
        ),
    ):
        pass
    wait_for(
        lambda: "refused: TLS handshake failed" in shared.coordinator.text()[before:],
        what="the log line",
    )


def test_a_client_without_certificate_is_refused_and_logged(shared: Federation) -> None:
    context = authority_context((shared.coordinator.directory / "ca.pem").read_bytes())
    before = len(shared.coordinator.text())
    with pytest.raises(httpx.TransportError):
        httpx.post(f"https://{fleet_address(shared)}/v1/fleet/pull-messages", verify=context)
    wait_for(
        lambda: "PEER_DID_NOT_RETURN_A_CERTIFICATE" in shared.coordinator.text()[before:],
        what="the log line",
    )


def test_a_site_trusts_no_coordinator_of_another_authority(
    shared: Federation, tmp_path: Path
) -> None:
    foreign = CertificateAuthority.create_or_load(tmp_path, Vault.open_or_create(tmp_path))
    key = generate_key()
    context = client_context(foreign, key, tmp_path, trusts=foreign.certificate_pem)
    with (
        pytest.raises(UntrustedCertificate) as caught,
        connect(
            address=fleet_address(shared), tls=context, private_key=key, memory=tmp_path / "node"
        ),
    ):
        pass
    assert "CA" in caught.value.hint


def test_a_certified_node_with_an_unregistered_key_is_refused_and_logged(
    shared: Federation, tmp_path: Path
) -> None:
    directory = shared.coordinator.directory
    authority = CertificateAuthority.create_or_load(directory, Vault.open_or_create(directory))
    key = generate_key()
    context = client_context(authority, key, tmp_path, trusts=authority.certificate_pem)
    before = len(shared.coordinator.text())
    with (
        pytest.raises(AuthenticationFailed, match="does not accept this node"),
        connect(
            address=fleet_address(shared), tls=context, private_key=key, memory=tmp_path / "node"
        ),
    ):
        pass
    assert "refused: caller is not registered" in shared.coordinator.text()[before:]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/control/start-run",
        "/v1/control/list-runs",
        "/v1/control/register-supernode",
        "/v1/runtime/acquire-task",
        "/v1/runtime/push-messages",
        "/v1/fleet/register-node",
        "/v1/fleet/get-fab",
        "/v1/fleet/../control/start-run",
        "/v1/fleet//pull-messages",
        "/docs",
        "/openapi.json",
    ],
)
def test_a_site_reaches_nothing_but_the_calls_of_a_node(shared: Federation, path: str) -> None:
    site = next(iter(shared.sites.values()))
    with httpx.Client(verify=site.identity.ssl_context()) as http:
        request = http.build_request("POST", f"https://{site.identity.coordinator.fleet}")
        request.url = request.url.copy_with(raw_path=path.encode())
        assert http.send(request).status_code == 404
    before = shared.coordinator.text()
    assert "refused: path is not served here" in before


def test_the_api_port_serves_no_part_of_flower(shared: Federation) -> None:
    context = authority_context((shared.coordinator.directory / "ca.pem").read_bytes())
    base = shared.coordinator.api()
    with httpx.Client(verify=context) as http:
        for path in ("/v1/control/start-run", "/v1/runtime/acquire-task", "/v1/fleet/get-run"):
            response = http.post(base + path)
            assert response.status_code == 404
            assert response.headers["content-type"] == "application/problem+json"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    root = Path(tmp_path_factory.mktemp("hostile"))
    with federation(root, sites=2, mode="foreign-application") as whole:
        yield whole


def test_sites_refuse_a_foreign_application_bundle_and_never_run_it(hostile: Federation) -> None:
    with capture_logs() as at_the_sites:
        run, events = hostile.run(make_job())
    assert run.status == "failed"
    assert "application.foreign" in (run.reason or "")
    dropped = [event.data["site"] for event in events if event.kind == "site.dropped"]
    assert sorted(dropped) == ["site-0", "site-1"]
    assert "Install the same Entente version" in (run.reason or "")
    assert not (hostile.coordinator.capture / "foreign-code-ran").exists()
    refusals = [line for line in at_the_sites if line["event"] == "refused: foreign application"]
    assert len(refusals) == 2
    assert all(line["offered"] != line["installed"] for line in refusals)
    assert "application.foreign" in hostile.coordinator.text()


def test_a_removed_site_is_cut_off_and_told_so(tmp_path: Path) -> None:
    with federation(tmp_path, sites=2) as whole:
        whole.client.remove_site("site-1")
        assert [site.name for site in whole.client.sites()] == ["site-0"]
        with pytest.raises(NotFound):
            whole.client.remove_site("site-1")
        removed = whole.sites["site-1"]
        wait_for(lambda: removed.refusal is not None, what="the end of the channel")
        assert isinstance(removed.refusal, PermissionRefused)
        with (
            pytest.raises(AuthenticationFailed),
            connect(
                address=fleet_address(whole),
                tls=removed.identity.ssl_context(),
                private_key=removed.identity.private_key,
                memory=tmp_path / "node",
            ),
        ):
            pass
