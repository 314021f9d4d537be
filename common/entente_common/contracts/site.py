"""Sites as the coordinator knows them: the register, the invitation, the preflight of a job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from entente_common.contracts.dataset import DatasetCard
from entente_common.contracts.document import Document, Section, admit_text
from entente_common.contracts.fields import (
    Address,
    ApiVersion,
    Digest,
    Moment,
    Slug,
    WireModel,
)
from entente_common.contracts.reader import read_text
from entente_common.errors import InvalidSettings

SiteStatus = Literal["invited", "online", "offline"]


class Site(WireModel):
    """One institution's agent, as the coordinator last saw it.

    Attributes:
        id: Its identifier, `site_…`.
        name: Its name; the subject of its certificate.
        status: `invited` until it enrols, then `online` while its channel is open.
        last_seen_at: When it was last heard (RFC 3339), or `None`.
        certificate_expires_at: When its certificate ends (RFC 3339), or `None`.
        version: The version of Entente it runs, or `None`.
        code_digest: Digest of the code it has installed, or `None`.
        datasets: The cards it published.
    """

    id: str
    name: Slug
    status: SiteStatus
    last_seen_at: Moment | None = None
    certificate_expires_at: Moment | None = None
    version: str | None = None
    code_digest: Digest | None = None
    datasets: tuple[DatasetCard, ...] = ()


class Coordinator(Section):
    """Where a coordinator listens for sites."""

    enrolment: Address = Field(description="Where an invitation is redeemed (server TLS).")
    channel: Address = Field(description="The site channel (mutual TLS).")
    fleet: Address = Field(description="Flower's Fleet API (mutual TLS and node signatures).")


class Invitation(Document):
    """The file with which an institution enrols, once, before it expires.

    It is a secret: whoever holds it can enrol in the site's name. It holds no key of the site.
    """

    api_version: ApiVersion = Field(default="entente/v1", alias="apiVersion")
    kind: Literal["Invitation"] = "Invitation"
    site: Slug = Field(description="The name the site will have.")
    coordinator: Coordinator = Field(description="Where to reach the coordinator.")
    ca_pem: Annotated[
        str,
        Field(
            pattern=r"^-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*$",
            max_length=64 * 1024,
            json_schema_extra={
                "x-expected": "the coordinator's CA certificate in PEM",
                "x-secret": True,
            },
        ),
    ] = Field(repr=False, description="The authority both sides trust.")
    token: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9_-]{16,512}$",
            json_schema_extra={
                "x-expected": "the enrolment token, unchanged",
                "x-secret": True,
            },
        ),
    ] = Field(repr=False, description="Proof of the invitation; valid once.")
    expires_at: Moment = Field(description="When the invitation ends.")


class EligibleSite(WireModel):
    """A site that can take part in a job, with the records it would train on."""

    site: Slug
    rows: int = Field(ge=0)


class IneligibleSite(WireModel):
    """A site that cannot take part in a job, why, and what would change that."""

    site: Slug
    reason: str
    cure: str


class Preflight(WireModel):
    """Which sites could run a job now.

    Attributes:
        job_digest: The job asked about.
        eligible: The sites that can take part.
        ineligible: Those that cannot, each with reason and cure.
    """

    job_digest: Digest
    eligible: tuple[EligibleSite, ...] = ()
    ineligible: tuple[IneligibleSite, ...] = ()


def load_invitation(path: Path) -> Invitation:
    """The invitation in the file at `path` (YAML or JSON, UTF-8, at most 1 MiB).

    Messages never quote the token.

    Raises:
        InvalidSettings: The file cannot be read, or with every fault at once.
    """
    text = read_text(path, error=InvalidSettings)
    return admit_text(Invitation, text, source=str(path), error=InvalidSettings)
