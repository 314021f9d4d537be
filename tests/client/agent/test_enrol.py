"""Enrolment gives a directory an identity, or leaves it as not enrolled and says why."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import entente_client.agent.enrol as enrol_module
from entente_client.agent.enrol import enrol
from entente_client.agent.lock import hold_directory
from entente_client.agent.settings import SETTINGS_FILE, AgentSettings
from entente_client.agent.site_identity import SiteIdentity
from entente_common.contracts.site import Invitation
from entente_common.errors import (
    AlreadyRunning,
    Conflict,
    DataDirectoryProblem,
    EnrolmentRefused,
    EntenteError,
    ExitCode,
    InternalError,
    Unreachable,
    UntrustedCertificate,
)
from entente_common.identity.certificates import fingerprint, make_csr
from fakes.coordinator import FakeCoordinator, make_authority, serving


def with_coordinator(
    directory: Path, scenario: Callable[[FakeCoordinator], Awaitable[None]], **options: object
) -> None:
    async def run() -> None:
        async with serving(directory, **options) as coordinator:  # type: ignore[arg-type]
            await scenario(coordinator)

    asyncio.run(run())


async def enrolled(directory: Path, invitation: Invitation) -> AgentSettings:
    return await asyncio.to_thread(enrol, directory, invitation)


async def refusal(directory: Path, invitation: Invitation) -> EntenteError:
    with pytest.raises(EntenteError) as caught:
        await enrolled(directory, invitation)
    assert caught.value.hint
    return caught.value


def assert_not_enrolled(directory: Path) -> None:
    """Nothing of an identity is left; a vault key, complete in itself, and the lock may be."""
    left = {path.name for path in directory.iterdir()} if directory.exists() else set()
    assert left <= {"vault.key", "agent.lock"}


def test_a_site_enrols_with_a_key_that_never_leaves(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        home = tmp_path / "north"
        settings = await enrolled(home, coordinator.invite("north"))
        assert settings == AgentSettings.load(home)
        identity = SiteIdentity.load(home)
        assert identity.site == "north"
        assert identity.coordinator.channel == coordinator.channel
        assert coordinator.directory.fingerprints["north"] == fingerprint(identity.certificate_pem)
        for name in ("key.pem", "certificate.pem", "ca.pem"):
            assert (home / "identity" / name).exists()
        assert stat.S_IMODE((home / "identity" / "key.pem").stat().st_mode) == 0o600
        assert b"ENCRYPTED" in (home / "identity" / "key.pem").read_bytes()
        assert not list(home.glob(".enrolling*"))

    with_coordinator(tmp_path / "coordinator", scenario)


def test_an_enrolled_directory_does_not_enrol_again(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        home = tmp_path / "north"
        await enrolled(home, coordinator.invite("north"))
        before = (home / "identity" / "key.pem").read_bytes()
        invitation = coordinator.invite("south")
        fault = await refusal(home, invitation)
        assert isinstance(fault, Conflict)
        assert "'north'" in fault.detail
        assert (home / "identity" / "key.pem").read_bytes() == before
        assert invitation.token in coordinator.directory.invited, "the token was spent"

    with_coordinator(tmp_path / "coordinator", scenario)


def test_a_directory_whose_certificate_expired_enrols_again(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        home = tmp_path / "north"
        await enrolled(home, coordinator.invite("north"))
        identity = SiteIdentity.load(home)
        expired = coordinator.authority.sign_site(
            make_csr(identity.private_key), site="north", days=0
        )
        (home / "identity" / "certificate.pem").write_bytes(expired)
        (home / "datasets").mkdir()
        with pytest.raises(UntrustedCertificate, match="expired"):
            SiteIdentity.load(home)
        await enrolled(home, coordinator.invite("north"))
        assert SiteIdentity.load(home).private_key.public_key() != identity.private_key.public_key()
        assert (home / "datasets").exists()

    with_coordinator(tmp_path / "coordinator", scenario)


def test_an_unknown_token_is_refused(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        fault = await refusal(tmp_path / "a", coordinator.invite("north", token="t" * 32))
        assert isinstance(fault, EnrolmentRefused)
        assert fault.exit_code is ExitCode.AUTHENTICATION
        assert "invite" in fault.hint
        assert_not_enrolled(tmp_path / "a")

    with_coordinator(tmp_path / "coordinator", scenario)


def test_a_used_token_is_refused(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        invitation = coordinator.invite("north")
        await enrolled(tmp_path / "a", invitation)
        assert isinstance(await refusal(tmp_path / "b", invitation), EnrolmentRefused)
        assert_not_enrolled(tmp_path / "b")

    with_coordinator(tmp_path / "coordinator", scenario)


def test_a_token_expired_at_the_coordinator_is_refused(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        invitation = coordinator.invite("north")
        coordinator.directory.expired.add(invitation.token)
        assert isinstance(await refusal(tmp_path / "a", invitation), EnrolmentRefused)
        assert_not_enrolled(tmp_path / "a")

    with_coordinator(tmp_path / "coordinator", scenario)


def test_an_expired_invitation_is_not_even_sent(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        invitation = coordinator.invite("north", valid_s=-1)
        fault = await refusal(tmp_path / "a", invitation)
        assert isinstance(fault, EnrolmentRefused)
        assert "expired" in fault.detail
        assert invitation.token in coordinator.directory.invited
        assert not (tmp_path / "a").exists()

    with_coordinator(tmp_path / "coordinator", scenario)


def test_a_coordinator_of_another_authority_is_not_trusted_with_the_token(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        other = make_authority(tmp_path / "other")
        invitation = coordinator.invite("north", ca_pem=other.certificate_pem.decode())
        fault = await refusal(tmp_path / "a", invitation)
        assert isinstance(fault, UntrustedCertificate)
        assert fault.exit_code is ExitCode.AUTHENTICATION
        assert "CA" in fault.hint
        assert invitation.token in coordinator.directory.invited
        assert_not_enrolled(tmp_path / "a")

    with_coordinator(tmp_path / "coordinator", scenario)


def test_a_coordinator_under_another_host_name_is_not_trusted(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        fault = await refusal(tmp_path / "a", coordinator.invite("north"))
        assert isinstance(fault, UntrustedCertificate)
        assert_not_enrolled(tmp_path / "a")

    with_coordinator(tmp_path / "coordinator", scenario, hosts=("elsewhere.example",))


def test_a_coordinator_with_an_expired_certificate_is_not_trusted(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        fault = await refusal(tmp_path / "a", coordinator.invite("north"))
        assert isinstance(fault, UntrustedCertificate)
        assert "expired" in fault.detail
        assert "clock" in fault.hint

    with_coordinator(tmp_path / "coordinator", scenario, days=0)


def test_an_absent_coordinator_is_unreachable(tmp_path: Path) -> None:
    async def invitation() -> Invitation:
        async with serving(tmp_path / "coordinator") as coordinator:
            return coordinator.invite("north")

    with pytest.raises(Unreachable) as caught:
        enrol(tmp_path / "a", asyncio.run(invitation()))
    assert caught.value.exit_code is ExitCode.UNREACHABLE
    assert "entente server" in caught.value.hint
    assert_not_enrolled(tmp_path / "a")


def test_an_unknown_host_is_unreachable(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        addresses = dict.fromkeys(("enrolment", "channel", "fleet"), "coordinator.invalid:9")
        fault = await refusal(tmp_path / "a", coordinator.invite("north", coordinator=addresses))
        assert isinstance(fault, Unreachable)

    with_coordinator(tmp_path / "coordinator", scenario)


def test_a_service_that_is_no_coordinator_is_unreachable(tmp_path: Path) -> None:
    def hang_up(server: socket.socket) -> None:
        for _ in range(20):
            try:
                connection, _peer = server.accept()
            except OSError:
                return
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

    async def scenario(coordinator: FakeCoordinator) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            threading.Thread(target=hang_up, args=(server,), daemon=True).start()
            address = f"127.0.0.1:{server.getsockname()[1]}"
            addresses = dict.fromkeys(("enrolment", "channel", "fleet"), address)
            fault = await refusal(
                tmp_path / "a", coordinator.invite("north", coordinator=addresses)
            )
            assert isinstance(fault, Unreachable)

    with_coordinator(tmp_path / "coordinator", scenario)


def test_a_failing_coordinator_is_told_as_its_fault(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        coordinator.directory.failure = RuntimeError("database gone")
        fault = await refusal(tmp_path / "a", coordinator.invite("north"))
        assert isinstance(fault, InternalError)
        assert "admin" in fault.hint
        assert_not_enrolled(tmp_path / "a")

    with_coordinator(tmp_path / "coordinator", scenario)


def test_a_coordinator_that_enrols_someone_else_is_not_believed(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        invitation = coordinator.invite("north")
        coordinator.directory.invited[invitation.token] = "south"
        fault = await refusal(tmp_path / "a", invitation)
        assert isinstance(fault, UntrustedCertificate)
        assert_not_enrolled(tmp_path / "a")

    with_coordinator(tmp_path / "coordinator", scenario)


def test_a_crash_before_the_last_write_leaves_the_directory_free_to_enrol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def call(home: Path, invitation: Invitation) -> BaseException | None:
        def attempt() -> BaseException | None:
            try:
                enrol(home, invitation)
            except KeyboardInterrupt as interrupt:
                return interrupt
            return None

        return await asyncio.to_thread(attempt)

    async def scenario(coordinator: FakeCoordinator) -> None:
        home = tmp_path / "a"

        def crash(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(enrol_module.AgentSettings, "store", crash)
            assert isinstance(await call(home, coordinator.invite("north")), KeyboardInterrupt)
        with pytest.raises(DataDirectoryProblem, match="no enrolled site"):
            SiteIdentity.load(home)
        await enrolled(home, coordinator.invite("north"))
        assert SiteIdentity.load(home).site == "north"

    with_coordinator(tmp_path / "coordinator", scenario)


def test_a_directory_in_use_does_not_enrol(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        home = tmp_path / "a"
        home.mkdir()
        with hold_directory(home):
            assert isinstance(await refusal(home, coordinator.invite("north")), AlreadyRunning)

    with_coordinator(tmp_path / "coordinator", scenario)


def test_a_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        (tmp_path / "file").write_text("")
        fault = await refusal(tmp_path / "file", coordinator.invite("north"))
        assert isinstance(fault, DataDirectoryProblem)

    with_coordinator(tmp_path / "coordinator", scenario)


def test_the_command_enrols_and_tells_the_next_step(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        file = tmp_path / "invitation.json"
        file.write_text(coordinator.invite("north").model_dump_json(by_alias=True))
        program = "from entente_client.agent.cli import app; app()"
        told = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", program, "enrol", "--dir", str(tmp_path / "north"),
             "--invitation", str(file)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
        assert "Enrolled as north" in told.stdout
        assert told.stderr == ""
        told = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", program, "status", "--dir", str(tmp_path / "north"),
             "-o", "json"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        document = json.loads(told.stdout)
        assert document["site"] == "north"
        assert document["running"] is False
        assert document["certificate"]["expired"] is False

    with_coordinator(tmp_path / "coordinator", scenario)
    assert (tmp_path / "north" / SETTINGS_FILE).exists()
