"""The site channel lets in whom the authority certified, believes certificates, and logs refusals.

These tests speak to it with bare gRPC, as a foreign or hostile client would.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from entente_common.contracts.problem import Problem, error_from_problem
from entente_common.errors import (
    AlreadyRunning,
    EnrolmentRefused,
    PermissionRefused,
    PortTaken,
    error_types,
)
from entente_common.identity.certificates import (
    CertificateAuthority,
    fingerprint,
    make_csr,
    site_of,
)
from entente_common.identity.keys import generate_key, private_pem
from entente_common.protocol.generated.site_pb2 import (
    Bye,
    EnrolReply,
    EnrolRequest,
    Heartbeat,
    Hello,
    SiteMessage,
)
from entente_common.protocol.generated.site_pb2_grpc import EnrolmentStub, SiteChannelStub
from entente_server.sitechannel.service import SiteChannelServer
from entente_server.sitechannel.tls import ServerTls
from fakes.coordinator import FakeCoordinator, MemoryDirectory, make_authority, serving, until

HELLO = SiteMessage(hello=Hello(version="1", code_digest="sha256:c", cards_json=b"[]"))
HEARTBEAT = SiteMessage(heartbeat=Heartbeat(at="2026-01-01T00:00:00Z"))
CARD = {
    "dataset": "heart",
    "contract": "heart@1",
    "contract_digest": "sha256:" + "0" * 64,
    "version": "sha256:" + "1" * 64,
    "rows": 3,
    "columns": 2,
}


class BareSite:
    """A client with a certificate and no manners."""

    def __init__(self, authority: CertificateAuthority, site: str, *, days: int = 90) -> None:
        self.key = generate_key()
        self.certificate = authority.sign_site(make_csr(self.key), site=site, days=days)
        self.ca = authority.certificate_pem

    @asynccontextmanager
    async def attending(self, coordinator: FakeCoordinator) -> AsyncIterator[Any]:
        credentials = grpc.ssl_channel_credentials(
            self.ca, private_pem(self.key, passphrase=None), self.certificate
        )
        async with grpc.aio.secure_channel(coordinator.channel, credentials) as link:
            yield SiteChannelStub(link).Attend()


async def say(call: Any, message: SiteMessage) -> Any:
    await call.write(message)
    return await asyncio.wait_for(call.read(), 5)


async def is_heard(link: Any) -> bool:
    """Whether the coordinator answers a Hello on this connection."""
    try:
        return await say(SiteChannelStub(link).Attend(), HELLO) is not grpc.aio.EOF
    except (grpc.RpcError, asyncio.InvalidStateError):
        return False


def with_coordinator(
    directory: Path, scenario: Callable[[FakeCoordinator], Awaitable[None]], **options: Any
) -> None:
    async def run() -> None:
        async with serving(directory, **options) as coordinator:
            await scenario(coordinator)

    asyncio.run(run())


async def enrol(coordinator: FakeCoordinator, **fields: Any) -> EnrolReply:
    credentials = grpc.ssl_channel_credentials(coordinator.authority.certificate_pem)
    async with grpc.aio.secure_channel(coordinator.enrolment, credentials) as link:
        reply: EnrolReply = await EnrolmentStub(link).Enrol(EnrolRequest(**fields), timeout=5)
        return reply


async def refusal_of_enrolment(coordinator: FakeCoordinator, **fields: Any) -> tuple[Any, Problem]:
    with pytest.raises(grpc.RpcError) as caught:
        await enrol(coordinator, **fields)
    problem = dict(caught.value.trailing_metadata())["entente-problem-bin"]
    return caught.value, Problem.model_validate_json(problem)


def test_a_token_buys_one_certificate(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        token = coordinator.invite("north").token
        request = {"token": token, "csr_pem": make_csr(generate_key()), "version": "1"}
        reply = await enrol(coordinator, **request)
        assert reply.site == site_of(reply.certificate_pem) == "north"
        assert reply.ca_pem == coordinator.authority.certificate_pem
        fault, problem = await refusal_of_enrolment(coordinator, **request)
        assert fault.code() is grpc.StatusCode.UNAUTHENTICATED
        assert isinstance(error_from_problem(problem), EnrolmentRefused)
        assert problem.hint

    with_coordinator(tmp_path, scenario)


def test_a_refused_request_leaves_the_token_unspent(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        token = coordinator.invite("north").token
        for csr in (b"", b"junk", b"x" * 20_000):
            await refusal_of_enrolment(coordinator, token=token, csr_pem=csr)
        await enrol(coordinator, token=token, csr_pem=make_csr(generate_key()))

    with_coordinator(tmp_path, scenario)


@pytest.mark.parametrize(
    "fields",
    [
        {"token": "", "csr_pem": b"x"},
        {"token": "t" * 600, "csr_pem": b"x"},
        {"token": "t", "csr_pem": b"x", "version": "v" * 100},
    ],
)
def test_impossible_requests_are_refused_before_the_directory(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        coordinator.directory.failure = AssertionError("the directory was asked")
        _, problem = await refusal_of_enrolment(coordinator, **fields)
        assert problem.code == "enrolment.refused"

    with_coordinator(tmp_path, scenario)


def test_refusals_are_logged_without_the_token(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        with capture_logs() as logs:
            await refusal_of_enrolment(
                coordinator, token="stolen-token-stolen-token", csr_pem=make_csr(generate_key())
            )
        refusals = [entry for entry in logs if entry["event"] == "site refused"]
        assert [entry["code"] for entry in refusals] == ["enrolment.refused"]
        assert refusals[0]["peer"].startswith("ipv4:127.0.0.1")
        assert "stolen-token" not in json.dumps(logs, default=str)

    with_coordinator(tmp_path, scenario)


def test_a_fault_of_the_coordinator_is_told_without_its_details(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        coordinator.directory.failure = RuntimeError("password=hunter2")
        with capture_logs() as logs:
            fault, problem = await refusal_of_enrolment(
                coordinator, token="t" * 20, csr_pem=make_csr(generate_key())
            )
        assert fault.code() is grpc.StatusCode.INTERNAL
        assert problem.code == "internal"
        assert "hunter2" not in problem.model_dump_json()
        assert any(entry["event"] == "site call failed" for entry in logs)

    with_coordinator(tmp_path, scenario)


def test_the_site_is_the_one_in_the_certificate(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        north = BareSite(coordinator.authority, "north")
        async with north.attending(coordinator) as call:
            cards = json.dumps([CARD]).encode()
            hello = SiteMessage(hello=Hello(version="1", code_digest="c", cards_json=cards))
            answer = await say(call, hello)
            assert answer.welcome.site == "north"
            assert answer.welcome.heartbeat_interval_s == pytest.approx(0.2)
            assert coordinator.directory.present == {"north"}
            assert coordinator.directory.cards["north"][0].rows == 3
            assert coordinator.directory.fingerprints["north"] == fingerprint(north.certificate)

    with_coordinator(tmp_path, scenario)


def test_a_heartbeat_is_acknowledged_and_recorded(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        async with BareSite(coordinator.authority, "north").attending(coordinator) as call:
            await say(call, HELLO)
            assert (await say(call, HEARTBEAT)).WhichOneof("message") == "ack"
            assert coordinator.directory.count("seen") == 1

    with_coordinator(tmp_path, scenario)


@pytest.mark.parametrize(
    "message",
    [
        HEARTBEAT,
        SiteMessage(),
        SiteMessage(hello=Hello(cards_json=b"not json")),
        SiteMessage(hello=Hello(cards_json=b'[{"dataset": "heart"}]')),
        SiteMessage(hello=Hello(cards_json=b'{"a": 1}')),
        SiteMessage(hello=Hello(cards_json=json.dumps([CARD] * 1001).encode())),
        SiteMessage(hello=Hello(version="v" * 100)),
        SiteMessage(hello=Hello(code_digest="d" * 200)),
    ],
)
def test_a_malformed_opening_is_refused_and_changes_nothing(
    tmp_path: Path, message: SiteMessage
) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        async with BareSite(coordinator.authority, "north").attending(coordinator) as call:
            with capture_logs() as logs:
                answer = await say(call, message)
                assert error_types()[answer.refusal.code].status == 422
                assert await call.read() is grpc.aio.EOF
            assert any(entry["event"] == "site refused" for entry in logs)
        assert coordinator.directory.events == []

    with_coordinator(tmp_path, scenario)


def test_a_stream_that_just_breaks_ends_the_sites_presence(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        async with BareSite(coordinator.authority, "north").attending(coordinator) as call:
            await say(call, HELLO)
            call.cancel()
        await until(lambda: coordinator.directory.count("left") == 1)

    with_coordinator(tmp_path, scenario)


def test_bye_ends_the_sites_presence(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        async with BareSite(coordinator.authority, "north").attending(coordinator) as call:
            await say(call, HELLO)
            assert await say(call, SiteMessage(bye=Bye())) is grpc.aio.EOF
        assert coordinator.directory.count("left") == 1

    with_coordinator(tmp_path, scenario)


def test_a_silent_site_is_gone_after_three_intervals(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        async with BareSite(coordinator.authority, "north").attending(coordinator) as call:
            await say(call, HELLO)
            assert await asyncio.wait_for(call.read(), 5) is grpc.aio.EOF
            assert coordinator.directory.count("left") == 1

    with_coordinator(tmp_path, scenario, heartbeat_interval_s=0.05)


def test_a_newer_stream_replaces_the_older_which_is_told(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        north = BareSite(coordinator.authority, "north")
        async with north.attending(coordinator) as old, north.attending(coordinator) as new:
            await say(old, HELLO)
            assert (await say(new, HELLO)).WhichOneof("message") == "welcome"
            told = await asyncio.wait_for(old.read(), 5)
            assert told.refusal.code == AlreadyRunning.code
            assert told.refusal.hint
            assert (await say(new, HEARTBEAT)).WhichOneof("message") == "ack"
            assert coordinator.directory.present == {"north"}
            assert coordinator.directory.count("left") == 0

    with_coordinator(tmp_path, scenario, heartbeat_interval_s=5)


def test_a_refused_newcomer_does_not_replace_the_one_who_is_there(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        north = BareSite(coordinator.authority, "north")
        async with north.attending(coordinator) as old, north.attending(coordinator) as new:
            await say(old, HELLO)
            answer = await say(new, SiteMessage(hello=Hello(cards_json=b"junk")))
            assert answer.WhichOneof("message") == "refusal"
            assert (await say(old, HEARTBEAT)).WhichOneof("message") == "ack"

    with_coordinator(tmp_path, scenario, heartbeat_interval_s=5)


def test_a_revoked_site_is_put_out_at_its_next_heartbeat(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        async with BareSite(coordinator.authority, "north").attending(coordinator) as call:
            await say(call, HELLO)
            coordinator.directory.revoked.add("north")
            answer = await say(call, HEARTBEAT)
            assert answer.refusal.code == PermissionRefused.code
        assert coordinator.directory.count("left") == 1

    with_coordinator(tmp_path, scenario)


def test_no_certificate_no_channel(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        credentials = grpc.ssl_channel_credentials(coordinator.authority.certificate_pem)
        async with grpc.aio.secure_channel(coordinator.channel, credentials) as link:
            with pytest.raises(grpc.RpcError) as caught:
                await say(SiteChannelStub(link).Attend(), HELLO)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert coordinator.directory.events == []

    with_coordinator(tmp_path, scenario)


@pytest.mark.parametrize("fault", ["foreign", "expired", "server"])
def test_an_unfit_certificate_opens_no_channel(tmp_path: Path, fault: str) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        site = BareSite(coordinator.authority, "north", days=0 if fault == "expired" else 90)
        if fault == "foreign":
            other = make_authority(tmp_path / "other")
            site.certificate = other.sign_site(make_csr(site.key), site="north")
        credentials: tuple[bytes, bytes] = (
            private_pem(site.key, passphrase=None),
            site.certificate,
        )
        if fault == "server":
            certificate, key = coordinator.authority.issue_server(["127.0.0.1"])
            credentials = (key, certificate)
        async with grpc.aio.secure_channel(
            coordinator.channel, grpc.ssl_channel_credentials(site.ca, *credentials)
        ) as link:
            assert not await is_heard(link)
        assert coordinator.directory.events == []

    with_coordinator(tmp_path, scenario)


def test_the_channel_service_is_not_on_the_enrolment_port(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        credentials = grpc.ssl_channel_credentials(coordinator.authority.certificate_pem)
        async with grpc.aio.secure_channel(coordinator.enrolment, credentials) as link:
            with pytest.raises(grpc.RpcError) as caught:
                await say(SiteChannelStub(link).Attend(), HELLO)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED

    with_coordinator(tmp_path, scenario)


@pytest.mark.parametrize("taken", ["enrolment", "channel"])
def test_a_taken_port_is_told_and_the_other_is_let_go(tmp_path: Path, taken: str) -> None:
    async def scenario() -> None:
        authority = make_authority(tmp_path)
        certificate, key = authority.issue_server(["127.0.0.1"])
        with (
            socket.create_server(("127.0.0.1", 0)) as busy,
            socket.create_server(("127.0.0.1", 0)) as probe,
        ):
            free = probe.getsockname()[1]
            probe.close()
            port = busy.getsockname()[1]
            server = SiteChannelServer(
                MemoryDirectory(authority),
                tls=ServerTls(
                    certificate_pem=certificate, key_pem=key, ca_pem=authority.certificate_pem
                ),
                host="127.0.0.1",
                enrolment_port=port if taken == "enrolment" else free,
                channel_port=port if taken == "channel" else free,
            )
            with pytest.raises(PortTaken, match=str(port)):
                await server.start()
            socket.create_server(("127.0.0.1", free)).close()

    asyncio.run(scenario())


def test_two_coordinators_cannot_share_a_port(tmp_path: Path) -> None:
    async def scenario(coordinator: FakeCoordinator) -> None:
        ports = (coordinator.server.enrolment_port, coordinator.server.channel_port)
        with pytest.raises(PortTaken):
            async with serving(tmp_path, ports=ports):
                pass

    with_coordinator(tmp_path, scenario)


def test_stopping_sees_every_site_leave(tmp_path: Path) -> None:
    async def run() -> MemoryDirectory:
        async with serving(tmp_path, heartbeat_interval_s=5) as coordinator:
            north = BareSite(coordinator.authority, "north")
            south = BareSite(coordinator.authority, "south")
            async with north.attending(coordinator) as a, south.attending(coordinator) as b:
                await say(a, HELLO)
                await say(b, HELLO)
                await coordinator.server.stop()
                assert coordinator.directory.present == set()
            return coordinator.directory

    assert asyncio.run(run()).count("left") == 2
