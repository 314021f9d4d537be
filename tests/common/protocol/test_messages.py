"""Headers come from another institution: they are read strictly, or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente_common.errors import ProtectionViolated
from entente_common.protocol import messages as wire
from fakes.runs import RUN_ID

CONTRIBUTION = wire.Contribution(stage="round-1", key_id=None, length=3, weight=0.5, clipped=0)
HEADERS: list[wire.Header] = [
    wire.JoinRequest(run=RUN_ID, job={"name": "j"}, job_digest="sha256:0"),
    wire.PrepareRequest(run=RUN_ID, manifest={"offers": []}, key=None),
    wire.PrepareReply(contribution=CONTRIBUTION),
    wire.PrepareReply(contribution=None),
    wire.RoundRequest(
        run=RUN_ID, round=2, aggregate=wire.Aggregate(stage="round-1", key_id="k", sites=("a", "b"))
    ),
    wire.Failure(problem={"title": "no"}),
]


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: type(header).__name__)
def test_a_header_survives_the_wire(header: wire.Header) -> None:
    assert wire.parse_header(type(header), header.text()) == header


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (wire.Contribution, {"length": -1}),
        (wire.Contribution, {"length": 2**53 + 1}),
        (wire.Contribution, {"length": "many"}),
        (wire.Contribution, {"weight": 0}),
        (wire.Contribution, {"weight": 1.01}),
        (wire.Contribution, {"weight": "NaN"}),
        (wire.Contribution, {"clipped": -1}),
        (wire.Contribution, {"more": 1}),
        (wire.Contribution, {"stage": None}),
    ],
)
def test_numbers_out_of_range_and_unknown_fields_are_refused(
    kind: type[wire.Header], changes: dict[str, Any]
) -> None:
    document = json.loads(CONTRIBUTION.text()) | changes
    field = next(iter(changes))
    with pytest.raises(ProtectionViolated, match=f"{kind.__name__} message is malformed.*{field}"):
        wire.parse_header(kind, json.dumps(document))


def test_the_first_round_is_one() -> None:
    with pytest.raises(ProtectionViolated, match="round"):
        wire.parse_header(
            wire.RoundRequest, json.dumps({"run": RUN_ID, "round": 0, "aggregate": None})
        )


@pytest.mark.parametrize(
    "run",
    ["", "run", "run_1", "../../identity", "/tmp/x", RUN_ID + "/..", RUN_ID.lower(), RUN_ID + "\n"],
)
def test_a_run_is_named_by_an_identifier_and_never_by_a_path(run: str) -> None:
    with pytest.raises(ProtectionViolated, match="malformed at: run"):
        wire.parse_header(wire.ReleaseRequest, json.dumps({"run": run}))


@given(text=st.text() | st.recursive(st.none() | st.integers(), st.lists).map(json.dumps))
def test_anything_else_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(ProtectionViolated) as caught:
        wire.parse_header(wire.KeyRequest, text)
    assert len(caught.value.detail) < 200


def test_rounds_have_stages_of_their_own() -> None:
    stages = {wire.stage_of_round(number) for number in range(1, 50)} | {wire.MOMENTS}
    assert len(stages) == 50
