"""What coordinator and sites say to each other in a run, on top of Flower messages.

A run is a fixed sequence of exchanges. Each is one Flower message type; its content is a JSON
header, one of the models below, and at most one block of bytes (`payload`).

| message type  | asks a site to                                        | payload up         |
|---------------|-------------------------------------------------------|--------------------|
| query.join    | check the job against its data, offer agreement key   |                    |
| query.key     | make the group key and seal it (the leader alone)     | public HE context  |
| query.prepare | verify the members, open the key, give moments        | protected moments  |
| train.round   | apply the last sum, evaluate, train, give an update   | protected update   |
| query.finish  | apply the last sum, evaluate, name the model's digest |                    |
| query.release | hand the model over, if the job says so               | float32 parameters |

Headers come from another institution: they are parsed strictly and never trusted for sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from entente_common.contracts.run import SiteRound
from entente_common.errors import ProtectionViolated
from entente_common.privacy.statement import PrivacyStatement

JOIN: Final = "query.join"
KEY: Final = "query.key"
PREPARE: Final = "query.prepare"
ROUND: Final = "train.round"
FINISH: Final = "query.finish"
RELEASE: Final = "query.release"

MOMENTS: Final = "moments"
"""The stage in which the moments of the federated standardisation are summed."""

HeaderT = TypeVar("HeaderT", bound="Header")
_Count = Annotated[int, Field(ge=0, le=2**53)]
# A site names a directory after the run: nothing but an identifier may stand here.
_RunId = Annotated[str, Field(pattern="^run_[0-9A-Z]{26}$")]


class Header(BaseModel):
    """Base of all message headers: frozen and closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def text(self) -> str:
        """The header as it travels."""
        return self.model_dump_json()


class JoinRequest(Header):
    """Offers a job to a site."""

    run: _RunId
    job: dict[str, Any]
    job_digest: str


class JoinReply(Header):
    """A site's signed offer to take part (`identity.manifest.Offer` inside the statement)."""

    statement: dict[str, Any]
    layout: dict[str, Any]


class KeyRequest(Header):
    """Asks the leader to make the group key for exactly this membership."""

    run: _RunId
    manifest: dict[str, Any]


class KeyReply(Header):
    """The leader's signed statement that seals the key for each member."""

    statement: dict[str, Any]


class PrepareRequest(Header):
    """Gives a member the manifest and, under encryption, the sealed key."""

    run: _RunId
    manifest: dict[str, Any]
    key: dict[str, Any] | None


class Contribution(Header):
    """Describes the protected vector in the payload of a reply."""

    stage: str
    key_id: str | None
    length: _Count
    weight: Annotated[float, Field(gt=0, le=1)]
    clipped: _Count


class PrepareReply(Header):
    """A site's protected moments for the federated standardisation."""

    contribution: Contribution | None


class Aggregate(Header):
    """Describes the folded sum in the payload of an instruction.

    Attributes:
        stage: What was summed: `moments` or `round-<n>`.
        sites: Whose contributions the sum holds, in the order of the manifest.
    """

    stage: str
    key_id: str | None
    sites: tuple[str, ...]


class RoundRequest(Header):
    """Starts round `round` (from 1) from the last aggregate."""

    run: _RunId
    round: Annotated[int, Field(ge=1)]
    aggregate: Aggregate | None


class RoundReply(Header):
    """A site's report on the model before the round, and its protected update."""

    report: SiteRound
    contribution: Contribution


class FinishRequest(Header):
    """Ends the training with the last aggregate."""

    run: _RunId
    aggregate: Aggregate


class FinishReply(Header):
    """A site's report on the final model, the model's digest, and the privacy spent."""

    report: SiteRound
    model_digest: str
    privacy: PrivacyStatement | None


class ReleaseRequest(Header):
    """Asks a site for the final model."""

    run: _RunId


class ReleaseReply(Header):
    """The final model's digest and preprocessing; the parameters are the payload."""

    model_digest: str
    preprocessing: dict[str, Any]


REPLIES: Final[Mapping[str, type[Header]]] = {
    JOIN: JoinReply,
    KEY: KeyReply,
    PREPARE: PrepareReply,
    ROUND: RoundReply,
    FINISH: FinishReply,
    RELEASE: ReleaseReply,
}
"""What answers each type of message, when it is not a `Failure`."""


class Failure(Header):
    """A site's refusal, in place of a reply: a problem without any value of its data."""

    problem: dict[str, Any]


def parse_header(kind: type[HeaderT], text: str) -> HeaderT:
    """Read a header that came over the network.

    Raises:
        ProtectionViolated: It does not have the shape of `kind`.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        where = "; ".join(".".join(map(str, fault["loc"])) for fault in error.errors())
        raise ProtectionViolated(f"A {kind.__name__} message is malformed at: {where}.") from None


def stage_of_round(number: int) -> str:
    """Name of the summation of round `number`."""
    return f"round-{number}"
