"""Invitations are read with every fault told, and their secrets never."""

import json
from pathlib import Path
from typing import Any

import pytest

from entente_common.contracts.site import Invitation, Preflight, Site, load_invitation
from entente_common.errors import InvalidSettings

TOKEN = "ent_enr_0123456789abcdefABCDEF"
INVITATION: dict[str, Any] = {
    "apiVersion": "entente/v1",
    "kind": "Invitation",
    "site": "north",
    "coordinator": {
        "enrolment": "coordinator.example:9440",
        "channel": "127.0.0.1:9441",
        "fleet": "[::1]:9442",
    },
    "ca_pem": "-----BEGIN CERTIFICATE-----\nMIIB+/=\n-----END CERTIFICATE-----\n",
    "token": TOKEN,
    "expires_at": "2026-11-23T09:30:00.000Z",
}


def write(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "north.invitation.json"
    path.write_text(json.dumps({**INVITATION, **changes}, indent=2), encoding="utf-8")
    return path


def test_an_invitation_survives_being_written_and_read(tmp_path: Path) -> None:
    read = load_invitation(write(tmp_path))
    assert read.document() == INVITATION
    again = tmp_path / "again.json"
    again.write_text(read.model_dump_json(), encoding="utf-8")
    assert load_invitation(again) == read


def test_every_fault_of_an_invitation_is_told_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        site="North",
        coordinator={"enrolment": "coordinator", "channel": "host:1"},
        expires_at="tomorrow",
        tokn="x",
    )
    with pytest.raises(InvalidSettings) as caught:
        load_invitation(path)
    assert [issue.path for issue in caught.value.issues] == [
        "site",
        "coordinator.enrolment",
        "coordinator.fleet",
        "expires_at",
        "tokn",
    ]


@pytest.mark.parametrize("spoilt", [TOKEN + "!", TOKEN[:10], [TOKEN], {"is": TOKEN}, 3])
def test_a_spoilt_token_is_told_without_being_quoted(tmp_path: Path, spoilt: object) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_invitation(write(tmp_path, token=spoilt))
    (issue,) = caught.value.issues
    assert issue.path == "token"
    assert TOKEN[:10] not in str(issue)
    assert TOKEN[:10] not in caught.value.detail


def test_secrets_are_not_shown_in_logs() -> None:
    assert TOKEN not in repr(Invitation.model_validate(INVITATION))


@pytest.mark.parametrize(
    "address", ["host", "host:", ":1", "host:123456", "ho st:1", "-x:1", "::1:5"]
)
def test_an_address_is_a_host_and_a_port(tmp_path: Path, address: str) -> None:
    places = {**INVITATION["coordinator"], "fleet": address}
    with pytest.raises(InvalidSettings) as caught:
        load_invitation(write(tmp_path, coordinator=places))
    assert [issue.path for issue in caught.value.issues] == ["coordinator.fleet"]


def test_a_site_that_never_came_is_only_invited() -> None:
    site = Site(id="site_01", name="north", status="invited")
    assert Site.model_validate_json(site.model_dump_json()) == site
    assert site.datasets == ()


def test_a_preflight_gives_each_refused_site_its_cure() -> None:
    preflight = Preflight.model_validate(
        {
            "job_digest": "sha256:" + "0" * 64,
            "eligible": [{"site": "north", "rows": 100}],
            "ineligible": [{"site": "south", "reason": "Holds no heart@1.", "cure": "Add it."}],
        }
    )
    assert preflight.ineligible[0].cure == "Add it."
