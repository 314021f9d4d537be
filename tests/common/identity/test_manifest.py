"""A manifest proves a membership, or it is refused for the first thing wrong with it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entente_common.errors import ProtectionViolated
from entente_common.identity.certificates import CertificateAuthority, make_csr
from entente_common.identity.keys import PrivateKey, generate_key
from entente_common.identity.manifest import (
    OFFER_DOMAIN,
    Membership,
    Offer,
    manifest_document,
    verify_manifest,
)
from entente_common.identity.statement import SignedStatement, sign
from fakes.coordinator import make_authority


class Signer:
    """A certified site that signs offers."""

    def __init__(self, authority: CertificateAuthority, site: str, *, certified: str = "") -> None:
        self.site = site
        self.key: PrivateKey = generate_key()
        self.certificate = authority.sign_site(make_csr(self.key), site=certified or site)

    def offer(self, **changes: Any) -> Offer:
        return make_offer(self.site, **changes)

    def sign(self, payload: dict[str, Any], *, domain: str = OFFER_DOMAIN) -> SignedStatement:
        return sign(payload, private_key=self.key, certificate_pem=self.certificate, domain=domain)

    def offers(self, **changes: Any) -> SignedStatement:
        return self.sign(self.offer(**changes).model_dump(mode="json"))


def make_offer(site: str, **changes: Any) -> Offer:
    fields: dict[str, Any] = {
        "run": "run_1",
        "site": site,
        "job_digest": "sha256:job",
        "contract_digest": "sha256:contract",
        "application": "a" * 64,
        "layout_digest": "sha256:layout",
        "dataset_version": f"sha256:{site}",
        "agreement_key": site.encode().hex().ljust(64, "0"),
        "examples": 100,
    }
    return Offer.model_validate(fields | changes)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def sites(authority: CertificateAuthority) -> list[Signer]:
    return [Signer(authority, name) for name in ("east", "north", "south")]


Verify = Callable[..., Membership]


@pytest.fixture
def check(authority: CertificateAuthority) -> Verify:
    """Verify signed offers as they come over the wire."""

    def verify(
        statements: Sequence[SignedStatement], *, min_sites: int = 2, own: Offer | None = None
    ) -> Membership:
        manifest = json.loads(json.dumps(manifest_document(statements)))
        return verify_manifest(
            manifest, ca_pem=authority.certificate_pem, min_sites=min_sites, own=own
        )

    return verify


def test_honest_offers_prove_a_membership_led_by_the_first(
    check: Verify, sites: list[Signer]
) -> None:
    statements = [site.offers() for site in sites]
    membership = check(statements, own=sites[1].offer())
    assert membership.sites == ("east", "north", "south")
    assert membership.leader == "east"
    assert membership.offers["north"] == sites[1].offer()


def test_every_reader_sees_the_same_digest_and_another_order_is_another_manifest(
    check: Verify, sites: list[Signer]
) -> None:
    statements = [site.offers() for site in sites]
    assert check(statements).digest == check(statements, own=sites[2].offer()).digest
    assert check(statements).digest != check(statements[::-1]).digest


def test_a_ghost_without_certificate_is_refused(check: Verify, sites: list[Signer]) -> None:
    ghost = SignedStatement(
        payload=make_offer("ghost").model_dump(mode="json"),
        certificate_pem=b"",
        signature=b"\x30\x00",
    )
    with pytest.raises(ProtectionViolated, match="not certified"):
        check([*(site.offers() for site in sites), ghost])


def test_a_member_of_another_authority_is_refused(
    check: Verify, sites: list[Signer], tmp_path: Path
) -> None:
    stranger = Signer(make_authority(tmp_path), "west")
    with pytest.raises(ProtectionViolated, match="not certified"):
        check([*(site.offers() for site in sites), stranger.offers()])


def test_an_expired_member_is_refused(
    check: Verify, sites: list[Signer], authority: CertificateAuthority
) -> None:
    late = Signer(authority, "west")
    late.certificate = authority.sign_site(make_csr(late.key), site="west", days=0)
    with pytest.raises(ProtectionViolated, match="not certified"):
        check([*(site.offers() for site in sites), late.offers()])


def test_a_site_that_stands_twice_is_refused(check: Verify, sites: list[Signer]) -> None:
    with pytest.raises(ProtectionViolated, match="twice"):
        check([sites[0].offers(), sites[1].offers(), sites[0].offers()])


def test_a_site_that_stands_twice_with_another_key_is_refused(
    check: Verify, sites: list[Signer]
) -> None:
    twin = sites[0].offers(agreement_key="f" * 64)
    with pytest.raises(ProtectionViolated, match="twice"):
        check([sites[0].offers(), sites[1].offers(), twin])


def test_two_members_with_one_agreement_key_are_refused(check: Verify, sites: list[Signer]) -> None:
    shared = {"agreement_key": "b" * 64}
    with pytest.raises(ProtectionViolated, match="same agreement key"):
        check([sites[0].offers(**shared), sites[1].offers(**shared)])


def test_an_offer_in_anothers_name_is_refused(check: Verify, sites: list[Signer]) -> None:
    forged = sites[0].sign(make_offer("north").model_dump(mode="json"))
    with pytest.raises(ProtectionViolated, match=r"'east' signed .* 'north'"):
        check([forged, sites[2].offers()])


def test_an_offer_signed_for_another_purpose_is_refused(check: Verify, sites: list[Signer]) -> None:
    other = sites[0].sign(sites[0].offer().model_dump(mode="json"), domain="entente/group-key/v1")
    with pytest.raises(ProtectionViolated, match="signature"):
        check([other, sites[1].offers()])


def test_a_changed_offer_does_not_fit_its_signature(check: Verify, sites: list[Signer]) -> None:
    said = sites[1].offers()
    changed = SignedStatement(
        payload={**said.payload, "agreement_key": "c" * 64},
        certificate_pem=said.certificate_pem,
        signature=said.signature,
    )
    with pytest.raises(ProtectionViolated, match="signature"):
        check([sites[0].offers(), changed])


@pytest.mark.parametrize(
    "changes",
    [{"agreement_key": "d" * 64}, {"examples": 99}, {"dataset_version": "sha256:older"}],
    ids=["key", "weight", "data"],
)
def test_a_site_notices_an_own_offer_it_did_not_make(
    check: Verify, sites: list[Signer], changes: dict[str, Any]
) -> None:
    # Signed with the site's own key, for example in an earlier run: valid for everybody else.
    statements = [sites[0].offers(), sites[1].offers(**changes)]
    check(statements)
    with pytest.raises(ProtectionViolated, match="own offer"):
        check(statements, own=sites[1].offer())


def test_a_site_notices_that_it_was_left_out(check: Verify, sites: list[Signer]) -> None:
    with pytest.raises(ProtectionViolated, match="own offer"):
        check([sites[0].offers(), sites[1].offers()], own=sites[2].offer())


@pytest.mark.parametrize(
    "field", ["run", "job_digest", "contract_digest", "application", "layout_digest"]
)
def test_members_that_differ_in_what_they_share_are_refused(
    check: Verify, sites: list[Signer], field: str
) -> None:
    with pytest.raises(ProtectionViolated, match=f"differ in their {field.replace('_', ' ')}"):
        check([sites[0].offers(), sites[1].offers(), sites[2].offers(**{field: "other"})])


def test_too_few_members_are_refused(check: Verify, sites: list[Signer]) -> None:
    statements = [site.offers() for site in sites]
    check(statements, min_sites=3)
    with pytest.raises(ProtectionViolated, match="has 3 sites, not 4"):
        check(statements, min_sites=4)


def test_an_empty_membership_is_refused(check: Verify) -> None:
    with pytest.raises(ProtectionViolated):
        check([], min_sites=1)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"site": "east"},
        {**make_offer("east").model_dump(), "examples": 0},
        {**make_offer("east").model_dump(), "examples": -5},
        {**make_offer("east").model_dump(), "agreement_key": "zz"},
        {**make_offer("east").model_dump(), "agreement_key": "A" * 64},
        {**make_offer("east").model_dump(), "more": 1},
    ],
)
def test_a_malformed_offer_is_refused(
    check: Verify, sites: list[Signer], payload: dict[str, Any]
) -> None:
    with pytest.raises(ProtectionViolated, match="'east' is malformed"):
        check([sites[0].sign(payload), sites[1].offers()])


@pytest.mark.parametrize(
    "manifest",
    [{}, {"offers": {}}, {"offers": [1]}, {"offers": [], "more": 1}, {"offers": [{}]}],
)
def test_a_malformed_manifest_is_refused(
    authority: CertificateAuthority, manifest: dict[str, Any]
) -> None:
    with pytest.raises(ProtectionViolated, match="malformed"):
        verify_manifest(manifest, ca_pem=authority.certificate_pem, min_sites=1)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_single_change_of_a_manifest_is_accepted(
    authority: CertificateAuthority, sites: list[Signer], data: st.DataObject
) -> None:
    manifest = manifest_document([site.offers() for site in sites[:2]])
    changed = copy.deepcopy(manifest)
    offer = data.draw(st.sampled_from(changed["offers"]))
    name = data.draw(st.sampled_from(sorted(offer["payload"])))
    value = data.draw(st.none() | st.integers(0, 9) | st.text(max_size=4))
    offer["payload"][name] = value
    with pytest.raises(ProtectionViolated):
        verify_manifest(changed, ca_pem=authority.certificate_pem, min_sites=2)


@given(examples=st.lists(st.integers(1, 2**40), min_size=1, max_size=9), data=st.data())
def test_weights_are_shares_of_all_examples(examples: list[int], data: st.DataObject) -> None:
    offers = {f"s{n}": make_offer(f"s{n}", examples=count) for n, count in enumerate(examples)}
    membership = Membership(offers=offers, digest="d")
    chosen = data.draw(st.lists(st.sampled_from(sorted(offers)), unique=True))
    expected = sum(offers[site].examples for site in chosen) / sum(examples)
    assert membership.total_weight(chosen) == pytest.approx(expected)
    assert membership.total_weight(chosen) == membership.total_weight(chosen[::-1])
    assert all(0 < membership.weight(site) <= 1 for site in offers)


@pytest.mark.parametrize("named", [["east", "east"], ["east", "ghost"]])
def test_a_sum_over_strangers_or_twins_has_no_weight(named: list[str]) -> None:
    membership = Membership(offers={"east": make_offer("east")}, digest="d")
    with pytest.raises(ProtectionViolated, match="no member, or one twice"):
        membership.total_weight(named)
