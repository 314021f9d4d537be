"""Three enrolled members with data, shared by the tests that do not change them."""

from __future__ import annotations

import pytest

from entente_common.identity.certificates import CertificateAuthority
from fakes.coordinator import make_authority
from fakes.members import Member, make_member

SITES = ("east", "north", "south")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def members(
    tmp_path_factory: pytest.TempPathFactory, authority: CertificateAuthority
) -> list[Member]:
    """East leads: it stands first in every manifest made from the list."""
    root = tmp_path_factory.mktemp("sites")
    return [
        make_member(root, authority, site, rows=40 + 20 * number, seed=number)
        for number, site in enumerate(SITES)
    ]
