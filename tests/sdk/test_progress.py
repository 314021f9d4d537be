"""What the events of a run add up to, and how amounts are written."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from entente_common.contracts.run import RunEvent
from entente_common.errors import InternalError
from entente_sdk.cli.live import follow, picture
from entente_sdk.progress import Dropout, RunProgress
from entente_sdk.quantities import bytes_text, seconds_text
from fakes.runs import DIGEST, RUN_ID, event_documents

EVENTS = [RunEvent.model_validate(document) for document in event_documents()]
BEGINNING = RunProgress(run_id=RUN_ID, name="first", rounds_total=2)


def test_the_events_of_a_run_add_up_to_its_state() -> None:
    progress = BEGINNING
    for event in EVENTS:
        progress = progress.after(event)

    assert (progress.status, progress.model_digest) == ("succeeded", DIGEST)
    assert (progress.protection, progress.parameters) == ("encrypted", 31)
    assert [report.round for report in progress.rounds] == [1, 2]
    assert progress.dropouts == (Dropout("south", "no answer"),)


def test_kinds_of_a_newer_coordinator_are_passed_over() -> None:
    event = EVENTS[0].model_copy(update={"kind": "run.celebrated", "data": {"x": 1}})

    assert BEGINNING.after(event) is BEGINNING


@pytest.mark.parametrize("place", [0, 1, 2, 3, 5])
def test_an_event_without_its_data_is_refused(place: int) -> None:
    with pytest.raises(InternalError):
        BEGINNING.after(EVENTS[place].model_copy(update={"data": {}}))


def test_a_terminal_sees_a_table_that_grows() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=140, height=40)

    progress, seen = follow(EVENTS, BEGINNING, console=screen)

    assert progress.status == "succeeded"
    assert seen == tuple(EVENTS)


def test_a_small_screen_shows_the_last_rounds() -> None:
    progress = BEGINNING
    for event in EVENTS:
        progress = progress.after(event)
    paper = Console(file=io.StringIO(), width=140, color_system=None)

    paper.print(picture(progress, rows=1))

    written = paper.file.getvalue() if isinstance(paper.file, io.StringIO) else ""
    lines = [line.split() for line in written.splitlines()]
    assert "2" in [line[0] for line in lines if line]
    assert "1" not in [line[0] for line in lines if line]


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (12_340, "12.3 kB"), (999_600, "1.00 MB"),
     (7_860_000, "7.86 MB"), (10**18, "1000000 TB")],
)  # fmt: skip
def test_sizes_are_written_for_people(size: int, text: str) -> None:
    assert bytes_text(size) == text


@given(st.integers(0, 9 * 10**14))
def test_a_size_is_never_written_with_four_digits_before_the_point(size: int) -> None:
    assert float(bytes_text(size).split()[0]) < 1000


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0.00 s"), (9.996, "10.0 s"), (59.96, "1 min 00 s"),
                          (125.0, "2 min 05 s")],
)  # fmt: skip
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text
