"""Ports are found once and kept; a clash is named with the option that cures it."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from entente_common.errors import InvalidSettings, PortTaken
from entente_server.settings import LISTENERS, ServerSettings, listen, resolve_ports

HOST = "127.0.0.1"


def settings(directory: Path, **ports: int) -> ServerSettings:
    return ServerSettings(directory=directory, host=HOST, public_host="entente.test", ports=ports)


def free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def announce(directory: Path, document: Any) -> None:
    (directory / "server.json").write_text(json.dumps(document))


def test_ports_left_open_become_free_ones_of_their_own(tmp_path: Path) -> None:
    ports = resolve_ports(settings(tmp_path)).ports
    assert list(ports) == list(LISTENERS)
    assert len(set(ports.values())) == len(LISTENERS)
    for name, port in ports.items():
        listen(HOST, port, listener=name).close()


def test_named_ports_are_kept(tmp_path: Path) -> None:
    port = free_port()
    assert resolve_ports(settings(tmp_path, fleet=port)).ports["fleet"] == port


def test_a_coordinator_finds_its_former_ports_again(tmp_path: Path) -> None:
    first = resolve_ports(settings(tmp_path))
    announce(tmp_path, {"ports": first.ports})
    assert resolve_ports(settings(tmp_path)).ports == first.ports
    other = free_port()
    renamed = resolve_ports(settings(tmp_path, api=other)).ports
    assert renamed == {**first.ports, "api": other}


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"ports": 5}, {"ports": {"api": 1}}, {"ports": dict.fromkeys(LISTENERS, "x")}],
)
def test_a_damaged_memory_of_ports_is_no_obstacle(tmp_path: Path, document: Any) -> None:
    announce(tmp_path, document)
    assert all(resolve_ports(settings(tmp_path)).ports.values())


@pytest.mark.parametrize("listener", LISTENERS)
def test_a_taken_port_is_named_with_its_option(tmp_path: Path, listener: str) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = int(taken.getsockname()[1])
        with pytest.raises(PortTaken, match=f"{HOST}:{port} for the {listener}") as caught:
            resolve_ports(settings(tmp_path, **{listener: port}))
    assert f"--{listener}-port" in caught.value.hint


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(PortTaken, match=r"192\.0\.2\.1"):
        listen("192.0.2.1", 0, listener="api")


def test_one_port_for_two_listeners_is_refused(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(InvalidSettings, match="same port"):
        resolve_ports(settings(tmp_path, api=port, fleet=port))


def test_a_named_port_that_another_listener_had_is_refused_too(tmp_path: Path) -> None:
    first = resolve_ports(settings(tmp_path))
    announce(tmp_path, {"ports": first.ports})
    with pytest.raises(InvalidSettings, match="same port"):
        resolve_ports(settings(tmp_path, api=first.ports["fleet"]))


def test_a_refusal_leaves_no_port_open(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server((HOST, 0)) as taken, pytest.raises(PortTaken):
        resolve_ports(settings(tmp_path, api=port, fleet=int(taken.getsockname()[1])))
    listen(HOST, port, listener="api").close()


def test_others_reach_a_listener_under_the_public_name(tmp_path: Path) -> None:
    resolved = resolve_ports(settings(tmp_path))
    assert resolved.address("channel") == f"entente.test:{resolved.ports['channel']}"
