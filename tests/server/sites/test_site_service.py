"""A site comes in by invitation, once; comes again by a new one; and is shown as it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlmodel import select

from entente_common.clock import rfc3339, utc_now
from entente_common.errors import (
    EnrolmentRefused,
    EntenteError,
    InvalidSettings,
    PermissionRefused,
)
from entente_common.identity.certificates import make_csr, site_of, verify_chain
from entente_common.identity.keys import generate_key
from entente_server.sitechannel.directory import Enrolled
from entente_server.tables import InvitationRow
from fakes.api import Api, make_card

CSR = make_csr(generate_key())


def enrol(api: Api, token: str, csr: bytes = CSR) -> Enrolled:
    return asyncio.run(api.sites.enrol(token=token, csr_pem=csr, version="1"))


def invite(api: Api, site: str = "north", *, ttl_s: int = 600) -> str:
    return api.sites.invite(site, ttl_s=ttl_s, actor="admin").token


def status(api: Api, site: str) -> str:
    return next(found.status for found in api.sites.list_sites() if found.name == site)


def test_an_invitation_lets_one_site_in_under_its_name(api: Api) -> None:
    enrolled = enrol(api, invite(api))
    assert enrolled.site == site_of(enrolled.certificate_pem) == "north"
    verify_chain(enrolled.certificate_pem, api.authority.certificate_pem)
    row = api.site_row("north")
    assert row is not None
    assert int(row.node_id) == api.nodes.known[enrolled.public_key_pem]


def test_an_invitation_is_good_once(api: Api) -> None:
    token = invite(api)
    enrol(api, token)
    with pytest.raises(EnrolmentRefused, match="already used"):
        enrol(api, token, make_csr(generate_key()))


def test_of_two_who_come_with_one_invitation_at_the_same_time_one_is_let_in(api: Api) -> None:
    enrol(api, invite(api))  # a renewal races without the help of a unique name
    token = invite(api)
    requests = [make_csr(generate_key()) for _ in range(4)]
    outcomes = at_once([lambda csr=csr: enrol(api, token, csr) for csr in requests])
    assert sum(isinstance(outcome, Enrolled) for outcome in outcomes) == 1
    refusals = [outcome for outcome in outcomes if not isinstance(outcome, Enrolled)]
    assert all(isinstance(refusal, EnrolmentRefused) for refusal in refusals), refusals


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """The results, or errors, of calls made together from threads of their own."""
    start = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def work(place: int) -> None:
        start.wait()
        try:
            results[place] = calls[place]()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results[place] = error

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_an_unknown_token_is_refused_with_its_cure(api: Api) -> None:
    with pytest.raises(EnrolmentRefused, match="not known") as caught:
        enrol(api, "ent_enr_" + "x" * 32)
    assert "entente site invite" in caught.value.hint


def test_an_expired_invitation_is_refused(api: Api) -> None:
    with pytest.raises(EnrolmentRefused, match="expired"):
        enrol(api, invite(api, ttl_s=0))
    assert api.sites.list_sites() == [], "an expired invitation is none"


@pytest.mark.parametrize("csr", [b"", b"junk", CSR[:-40]])
def test_a_refused_request_leaves_the_invitation_unspent(api: Api, csr: bytes) -> None:
    token = invite(api)
    with pytest.raises(EntenteError):
        enrol(api, token, csr)
    assert enrol(api, token).site == "north"


@pytest.mark.parametrize("name", ["", "North", "no_rth", "-north", "a" * 64, "../x", "north\n"])
def test_what_cannot_name_a_site_is_refused(api: Api, name: str) -> None:
    with pytest.raises(InvalidSettings):
        invite(api, name)


def test_tokens_are_stored_as_hashes_only(api: Api) -> None:
    token = invite(api)
    api.database.close()
    for file in api.root.rglob("*"):
        if file.is_file():
            assert token.encode() not in file.read_bytes(), file.name
    with api.database.transaction() as session:
        row = session.exec(select(InvitationRow)).one()
    assert row.used_at is None
    assert row.expires_at > rfc3339(utc_now())


def test_a_new_invitation_renews_a_site_and_cuts_off_its_former_key(api: Api) -> None:
    first = enrol(api, invite(api))
    before = api.site_row("north")
    second = enrol(api, invite(api), make_csr(generate_key()))
    after = api.site_row("north")
    assert before is not None
    assert after is not None
    assert after.id == before.id
    assert after.node_id != before.node_id
    assert api.nodes.forgotten == [int(before.node_id)]
    with pytest.raises(PermissionRefused, match="was replaced"):
        asyncio.run(api.greet("north", first.certificate_pem))
    asyncio.run(api.greet("north", second.certificate_pem))
    assert len(api.sites.list_sites()) == 1


def test_a_site_nobody_enrolled_is_refused_on_the_channel(api: Api) -> None:
    stranger = api.authority.sign_site(CSR, site="ghost")
    with pytest.raises(PermissionRefused, match="'ghost'"):
        asyncio.run(api.greet("ghost", stranger))
    with pytest.raises(PermissionRefused, match="'ghost'"):
        asyncio.run(api.sites.seen("ghost"))


def test_a_site_is_online_while_its_channel_and_its_node_are_there(api: Api) -> None:
    invite(api)
    assert status(api, "north") == "invited"
    certificate = asyncio.run(api.enrol("north"))
    assert status(api, "north") == "offline"
    asyncio.run(api.greet("north", certificate))
    assert status(api, "north") == "online"
    row = api.site_row("north")
    assert row is not None
    api.nodes.idle.add(int(row.node_id))
    assert status(api, "north") == "offline", "its node is gone"
    api.nodes.idle.clear()
    asyncio.run(api.sites.left("north"))
    assert status(api, "north") == "offline", "its channel is closed"


def test_a_site_shows_what_it_announced(api: Api) -> None:
    certificate = asyncio.run(api.enrol("north"))
    cards = [make_card(), make_card(dataset="lungs", contract="lungs@2", rows=7)]
    asyncio.run(api.greet("north", certificate, cards=cards))
    (site,) = api.sites.list_sites()
    assert site.datasets == tuple(cards)
    assert site.version == "1"
    assert site.last_seen_at is not None
    assert site.certificate_expires_at is not None


def test_sites_stand_by_name_before_open_invitations(api: Api) -> None:
    api.admit("south", "north")
    invite(api, "west")
    invite(api, "west")
    invite(api, "north")
    names = [(site.name, site.status) for site in api.sites.list_sites()]
    assert names == [("north", "online"), ("south", "online"), ("west", "invited")]


def test_node_ids_name_only_enrolled_sites(api: Api) -> None:
    api.admit("north")
    row = api.site_row("north")
    assert row is not None
    assert api.sites.node_ids(["north", "ghost"]) == {"north": int(row.node_id)}


def test_every_change_is_audited_with_who_did_it(api: Api) -> None:
    api.admit("north")
    rows = [(row.actor, row.action, row.subject) for row in api.audit()]
    assert rows[1:] == [
        ("test", "site.invited", "north"),
        ("site:north", "site.enrolled", "north"),
        ("site:north", "site.announced", "north"),
    ]
    assert rows[0][:2] == ("coordinator", "token.created")


def test_signs_of_life_are_no_changes(api: Api) -> None:
    certificate = asyncio.run(api.enrol("north"))
    asyncio.run(api.greet("north", certificate))
    before = len(api.audit())
    asyncio.run(api.greet("north", certificate))
    asyncio.run(api.sites.seen("north"))
    assert len(api.audit()) == before


def test_nothing_changes_without_its_audit_row(api: Api) -> None:
    token = invite(api)
    certificate = asyncio.run(api.enrol("south"))
    api.break_audit()
    with pytest.raises(Exception, match="audit trail is full"):
        invite(api, "west")
    with pytest.raises(Exception, match="audit trail is full"):
        enrol(api, token)
    with pytest.raises(Exception, match="audit trail is full"):
        asyncio.run(api.greet("south", certificate))
    assert {site.name: site.status for site in api.sites.list_sites()} == {
        "south": "offline",
        "north": "invited",
    }
    row = api.site_row("south")
    assert row is not None
    assert row.cards == "[]"


def test_a_removed_site_is_refused_and_may_be_invited_again(api: Api) -> None:
    certificate = asyncio.run(api.enrol("north"))
    api.sites.remove("north", actor="admin")
    with pytest.raises(PermissionRefused):
        asyncio.run(api.greet("north", certificate))
    assert len(api.nodes.forgotten) == 1
    assert api.audit()[-1].action == "site.removed"
    asyncio.run(api.enrol("north"))
    assert status(api, "north") == "offline"
