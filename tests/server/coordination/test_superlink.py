"""The embedded SuperLink: sites are nodes by key, runs are claimed for us and end clean."""

from __future__ import annotations

from pathlib import Path

import pytest

from entente_common.identity.keys import generate_key, public_pem
from entente_common.protocol.bundle import BUNDLE_ID, application_bundle
from entente_common.protocol.flower import prepare_flower
from entente_server.coordination.superlink import FlowerRun, SuperLink


@pytest.fixture
def superlink(tmp_path: Path) -> SuperLink:
    prepare_flower(tmp_path / "flower")
    return SuperLink(database=tmp_path / "flower" / "superlink.db")


def make_key() -> bytes:
    return public_pem(generate_key().public_key())


def create_run(superlink: SuperLink) -> FlowerRun:
    return superlink.create_run(bundle=application_bundle(), bundle_id=BUNDLE_ID, version="1")


def test_a_key_is_one_node_however_often_it_is_registered(superlink: SuperLink) -> None:
    key = make_key()
    node = superlink.register_node(key, site="north")
    assert superlink.register_node(key, site="north") == node
    assert superlink.register_node(make_key(), site="south") != node
    assert not superlink.is_active(node), "registered is not connected"


def test_a_forgotten_node_is_gone_and_forgetting_twice_is_no_fault(superlink: SuperLink) -> None:
    node = superlink.register_node(make_key(), site="north")
    superlink.forget_node(node)
    superlink.forget_node(node)
    superlink.forget_node(12345)
    assert not superlink.is_active(node)


def test_a_renewed_site_is_another_node(superlink: SuperLink) -> None:
    first = superlink.register_node(make_key(), site="north")
    superlink.forget_node(first)
    assert superlink.register_node(make_key(), site="north") != first


def test_nodes_outlive_the_process_but_not_their_connection(tmp_path: Path) -> None:
    prepare_flower(tmp_path / "flower")
    path = tmp_path / "flower" / "superlink.db"
    key = make_key()
    first = SuperLink(database=path)
    node = first.register_node(key, site="north")
    first._state.activate_node(node, 30)
    assert first.is_active(node)
    again = SuperLink(database=path)
    assert not again.is_active(node)
    assert again.register_node(key, site="north") == node


def test_a_run_is_created_claimed_and_ended(superlink: SuperLink) -> None:
    run, other = create_run(superlink), create_run(superlink)
    assert run.run_id != other.run_id
    assert run.token != other.token
    superlink.end_run(run, reason="test")
    superlink.end_run(run, reason="again")
    assert create_run(superlink).run_id not in {run.run_id, other.run_id}
