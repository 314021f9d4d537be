"""The group key reaches the members of one membership, past a coordinator that learns nothing."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest

from entente_client.node.group_key import KEY_DOMAIN, open_sealed, seal_for
from entente_common.aggregation.he import GroupKey
from entente_common.errors import EntenteError, ProtectionViolated
from entente_common.identity.agreement import AgreementKey
from entente_common.identity.manifest import Membership, Offer
from entente_common.identity.statement import sign
from fakes.members import Member


@pytest.fixture(scope="module")
def key() -> GroupKey:
    return GroupKey.generate()


class Members:
    """A membership whose agreement keys the test holds."""

    def __init__(self, members: list[Member]) -> None:
        self.members = {member.site: member for member in members}
        self.keys = {site: AgreementKey.generate() for site in self.members}
        self.membership = self.agreed("sha256:manifest")

    def agreed(self, digest: str, *, leader: str = "east") -> Membership:
        order = sorted(self.members, key=lambda site: site != leader)
        return Membership(offers={site: self.offer(site) for site in order}, digest=digest)

    def offer(self, site: str) -> Offer:
        return Offer(
            run="run_1",
            site=site,
            job_digest="j",
            contract_digest="c",
            application="a",
            layout_digest="l",
            dataset_version="v",
            agreement_key=self.keys[site].public_bytes().hex(),
            examples=1,
        )

    def sealed(self, key: GroupKey) -> dict[str, Any]:
        statement = seal_for(self.membership, key, identity=self.members["east"].identity)
        document: dict[str, Any] = json.loads(json.dumps(statement.document()))
        return document

    def open(
        self,
        document: dict[str, Any],
        site: str,
        *,
        membership: Membership | None = None,
        agreement: AgreementKey | None = None,
    ) -> GroupKey:
        return open_sealed(
            document,
            membership=membership or self.membership,
            identity=self.members[site].identity,
            agreement=agreement or self.keys[site],
        )

    def signed(self, payload: dict[str, Any], *, site: str = "east") -> dict[str, Any]:
        identity = self.members[site].identity
        return sign(
            payload,
            private_key=identity.private_key,
            certificate_pem=identity.certificate_pem,
            domain=KEY_DOMAIN,
        ).document()


@pytest.fixture
def group(members: list[Member]) -> Members:
    return Members(members)


def test_every_member_opens_the_same_key(group: Members, key: GroupKey) -> None:
    document = group.sealed(key)
    opened = [group.open(document, site) for site in group.members]
    assert {found.key_id for found in opened} == {key.key_id}
    assert {found.secret_bytes() for found in opened} == {key.secret_bytes()}


def test_what_the_coordinator_relays_does_not_hold_the_key(group: Members, key: GroupKey) -> None:
    document = group.sealed(key)
    boxes = [b64decode(box) for box in document["payload"]["boxes"].values()]
    secret = key.secret_bytes()
    assert len(boxes) == 3
    for box in boxes:
        assert secret[:32] not in box
        assert secret[-32:] not in box


def test_a_member_does_not_open_with_another_agreement_key(group: Members, key: GroupKey) -> None:
    with pytest.raises(ProtectionViolated):
        group.open(group.sealed(key), "north", agreement=AgreementKey.generate())


def test_a_box_opens_for_its_own_member_only(group: Members, key: GroupKey) -> None:
    payload = dict(group.sealed(key)["payload"])
    payload["boxes"] = {**payload["boxes"], "north": payload["boxes"]["south"]}
    swapped = group.signed(payload)
    with pytest.raises(ProtectionViolated):
        group.open(swapped, "north")
    with pytest.raises(ProtectionViolated):
        group.open(swapped, "north", agreement=group.keys["south"])


def test_a_key_for_another_membership_is_refused(group: Members, key: GroupKey) -> None:
    other = group.agreed("sha256:other")
    with pytest.raises(ProtectionViolated, match="for this membership"):
        group.open(group.sealed(key), "north", membership=other)


def test_a_box_made_for_another_membership_does_not_open_under_a_new_signature(
    group: Members, key: GroupKey
) -> None:
    payload = {**group.sealed(key)["payload"], "manifest_digest": "sha256:other"}
    with pytest.raises(ProtectionViolated):
        group.open(group.signed(payload), "north", membership=group.agreed("sha256:other"))


def test_a_key_from_a_member_that_does_not_lead_is_refused(group: Members, key: GroupKey) -> None:
    by_north = group.signed(group.sealed(key)["payload"], site="north")
    with pytest.raises(ProtectionViolated, match="by the leader"):
        group.open(by_north, "south")


def test_a_key_other_than_the_one_named_is_refused(group: Members, key: GroupKey) -> None:
    payload = {**group.sealed(key)["payload"], "key_id": GroupKey.generate().key_id}
    with pytest.raises(ProtectionViolated, match="not the one its statement names"):
        group.open(group.signed(payload), "north")


def test_a_changed_statement_is_refused(group: Members, key: GroupKey) -> None:
    document = group.sealed(key)
    document["payload"]["key_id"] = "sha256:" + "0" * 64
    with pytest.raises(ProtectionViolated, match="signature"):
        group.open(document, "north")


@pytest.mark.parametrize(
    "change",
    [
        {"boxes": {}},
        {"boxes": {"north": "not base64!"}},
        {"boxes": {"north": ""}},
        {"boxes": {"north": "AAAA"}},
        {"boxes": {"north": "é"}},
        {"boxes": 5},
        {"key_id": None},
        {"more": 1},
    ],
    ids=str,
)
def test_a_malformed_statement_is_refused(
    group: Members, key: GroupKey, change: dict[str, Any]
) -> None:
    payload = {**group.sealed(key)["payload"], **change}
    with pytest.raises(EntenteError):
        group.open(group.signed(payload), "north")
