"""A site stays present through broken links, and ends with a reason when waiting cannot help."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from entente_client.agent import channel as channel_module
from entente_client.agent.channel import SiteChannel
from entente_client.agent.enrol import enrol
from entente_client.agent.site_identity import SiteIdentity
from entente_common.contracts.dataset import DatasetCard
from entente_common.errors import (
    AlreadyRunning,
    DataDirectoryProblem,
    EntenteError,
    PermissionRefused,
    Unreachable,
    UntrustedCertificate,
)
from entente_common.identity.certificates import make_csr
from fakes.coordinator import FakeCoordinator, Listener, make_authority, serving, until

CARD = DatasetCard(
    dataset="heart",
    contract="heart@1",
    contract_digest="sha256:" + "0" * 64,
    version="sha256:" + "1" * 64,
    rows=3,
    columns=2,
)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "_FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(channel_module, "_LONGEST_PAUSE_S", 0.2)


class Site:
    """An enrolled site whose channel a test can start and stop."""

    def __init__(self, home: Path) -> None:
        self.identity = SiteIdentity.load(home)
        self.listener = Listener()
        self.cards: Callable[[], Sequence[DatasetCard]] = list
        self.stop = asyncio.Event()

    def start(self) -> asyncio.Task[None]:
        channel = SiteChannel(
            identity=self.identity,
            cards=lambda: self.cards(),
            code_digest="sha256:c",
            watcher=self.listener,
        )
        return asyncio.create_task(channel.run(self.stop))


def with_site(
    directory: Path,
    scenario: Callable[[FakeCoordinator, Site], Awaitable[None]],
    *,
    heartbeat_interval_s: float = 0.1,
) -> None:
    async def run() -> None:
        async with serving(
            directory / "coordinator", heartbeat_interval_s=heartbeat_interval_s
        ) as coordinator:
            await asyncio.to_thread(enrol, directory / "north", coordinator.invite("north"))
            await scenario(coordinator, Site(directory / "north"))

    asyncio.run(run())


async def ending(task: asyncio.Task[None]) -> EntenteError:
    with pytest.raises(EntenteError) as caught:
        await asyncio.wait_for(task, 10)
    assert caught.value.hint
    return caught.value


def test_a_site_attends_beats_and_says_bye(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator, site: Site) -> None:
        site.cards = lambda: [CARD]
        task = site.start()
        await until(lambda: coordinator.directory.count("seen") >= 2)
        assert coordinator.directory.cards["north"] == [CARD]
        assert site.listener.heard == ["online"]
        site.stop.set()
        await asyncio.wait_for(task, 5)
        await until(lambda: coordinator.directory.events[-1] == ("left", "north"))

    with_site(tmp_path, scenario)


def test_new_datasets_are_announced_without_a_restart(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator, site: Site) -> None:
        task = site.start()
        await until(lambda: coordinator.directory.count("seen") >= 1)
        assert coordinator.directory.cards["north"] == []
        site.cards = lambda: [CARD]
        await until(lambda: coordinator.directory.cards["north"] == [CARD])
        assert site.listener.heard == ["online"]
        assert coordinator.directory.count("left") == 0
        site.stop.set()
        await task

    with_site(tmp_path, scenario)


def test_datasets_that_become_unreadable_do_not_end_the_sites_presence(tmp_path: Path) -> None:
    def unreadable() -> Sequence[DatasetCard]:
        raise DataDirectoryProblem("damaged")

    async def scenario(coordinator: FakeCoordinator, site: Site) -> None:
        site.cards = lambda: [CARD]
        task = site.start()
        await until(lambda: coordinator.directory.count("seen") >= 1)
        site.cards = unreadable
        before = coordinator.directory.count("seen")
        await until(lambda: coordinator.directory.count("seen") >= before + 2)
        site.stop.set()
        await task

    with_site(tmp_path, scenario)


def test_datasets_unreadable_from_the_start_are_told(tmp_path: Path) -> None:
    def unreadable() -> Sequence[DatasetCard]:
        raise DataDirectoryProblem("damaged")

    async def scenario(coordinator: FakeCoordinator, site: Site) -> None:
        site.cards = unreadable
        assert isinstance(await ending(site.start()), DataDirectoryProblem)

    with_site(tmp_path, scenario)


def test_a_site_comes_back_after_the_coordinator_restarts(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path / "coordinator", heartbeat_interval_s=0.1) as first:
            await asyncio.to_thread(enrol, tmp_path / "north", first.invite("north"))
            site = Site(tmp_path / "north")
            task = site.start()
            await until(lambda: first.directory.count("seen") >= 1)
            ports = (first.server.enrolment_port, first.server.channel_port)
        await until(lambda: len(site.listener.reasons) >= 2)
        async with serving(
            tmp_path / "coordinator", ports=ports, heartbeat_interval_s=0.1
        ) as second:
            await until(lambda: "north" in second.directory.present)
            site.stop.set()
            await asyncio.wait_for(task, 5)
        assert site.listener.heard[0] == site.listener.heard[-1] == "online"
        assert all(isinstance(reason, Unreachable) for reason in site.listener.reasons)

    asyncio.run(run())


def test_a_site_waits_for_a_coordinator_that_is_not_there_yet(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path / "coordinator") as first:
            await asyncio.to_thread(enrol, tmp_path / "north", first.invite("north"))
            ports = (first.server.enrolment_port, first.server.channel_port)
        site = Site(tmp_path / "north")
        task = site.start()
        await until(lambda: "offline" in site.listener.heard)
        async with serving(tmp_path / "coordinator", ports=ports) as coordinator:
            await until(lambda: "north" in coordinator.directory.present)
            site.stop.set()
            await asyncio.wait_for(task, 5)

    asyncio.run(run())


def test_a_stop_is_heeded_while_the_coordinator_is_away(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path / "coordinator") as first:
            await asyncio.to_thread(enrol, tmp_path / "north", first.invite("north"))
        site = Site(tmp_path / "north")
        task = site.start()
        await until(lambda: "offline" in site.listener.heard)
        site.stop.set()
        await asyncio.wait_for(task, 5)

    asyncio.run(run())


def test_a_revoked_site_ends_with_the_reason(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator, site: Site) -> None:
        task = site.start()
        await until(lambda: coordinator.directory.count("seen") >= 1)
        coordinator.directory.revoked.add("north")
        assert isinstance(await ending(task), PermissionRefused)

    with_site(tmp_path, scenario)


def test_a_copied_identity_ends_the_older_agent_at_once(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator, site: Site) -> None:
        task = site.start()
        await until(lambda: coordinator.directory.count("hello") == 1)
        copy = Site(site.identity.directory)
        copied = copy.start()
        fault = await ending(task)
        assert isinstance(fault, AlreadyRunning)
        assert "copied" in fault.hint
        copy.stop.set()
        await copied

    # The older agent hears of it long before its next heartbeat.
    with_site(tmp_path, scenario, heartbeat_interval_s=60)


def test_a_coordinator_never_met_with_a_foreign_authority_is_not_waited_for(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with serving(tmp_path / "coordinator") as first:
            await asyncio.to_thread(enrol, tmp_path / "north", first.invite("north"))
            ports = (first.server.enrolment_port, first.server.channel_port)
        async with serving(tmp_path / "impostor", ports=ports) as impostor:
            fault = await ending(Site(tmp_path / "north").start())
            assert isinstance(fault, UntrustedCertificate)
            assert impostor.directory.events == []

    asyncio.run(run())


def test_a_coordinator_that_changes_its_authority_is_waited_out(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path / "coordinator", heartbeat_interval_s=0.1) as first:
            await asyncio.to_thread(enrol, tmp_path / "north", first.invite("north"))
            site = Site(tmp_path / "north")
            task = site.start()
            await until(lambda: first.directory.count("seen") >= 1)
            ports = (first.server.enrolment_port, first.server.channel_port)
        async with serving(tmp_path / "impostor", ports=ports):
            await until(
                lambda: any(isinstance(r, UntrustedCertificate) for r in site.listener.reasons)
            )
        async with serving(tmp_path / "coordinator", ports=ports) as back:
            await until(lambda: "north" in back.directory.present)
            site.stop.set()
            await asyncio.wait_for(task, 5)

    asyncio.run(run())


def test_a_site_whose_certificate_is_not_accepted_is_told_so(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator, site: Site) -> None:
        other = make_authority(tmp_path / "other")
        key = site.identity.private_key
        home = site.identity.directory / "identity"
        foreign = other.sign_site(make_csr(key), site="north")
        (home / "certificate.pem").write_bytes(foreign)
        object.__setattr__(site.identity, "certificate_pem", foreign)
        fault = await ending(site.start())
        assert isinstance(fault, UntrustedCertificate)

    with_site(tmp_path, scenario)
