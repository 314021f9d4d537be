"""An error is the same on either side of the wire."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entente_common.contracts.problem import Problem, error_from_problem, problem_from_error
from entente_common.errors import (
    AuthenticationFailed,
    Conflict,
    EntenteError,
    InternalError,
    InvalidDocument,
    InvalidJob,
    Issue,
    Unreachable,
    error_types,
)

GUIDE = Path(__file__).parents[3] / "docs" / "errors.md"
KINDS = sorted(
    (kind for kind in error_types().values() if kind.__module__ == "entente_common.errors"),
    key=lambda kind: kind.code,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_every_error_comes_back_as_itself(kind: type[EntenteError]) -> None:
    issues = [Issue("training.rounds", "is 0.", "Write 1."), Issue("a/b~c.d", "x", "")]
    sent = kind("It is so.", hint="Do this.", issues=issues)
    wire = problem_from_error(sent, instance="/v1/runs", trace_id="t1").model_dump_json()
    received = error_from_problem(Problem.model_validate_json(wire))
    assert type(received) is kind
    assert (received.title, received.detail, received.hint) == (kind.title, "It is so.", "Do this.")
    assert list(received.issues) == issues


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_path_comes_back(path: str) -> None:
    error = InvalidDocument("x", issues=[Issue(path, "is wrong.", "Write another.")])
    (issue,) = error_from_problem(problem_from_error(error)).issues
    assert issue.path == path


def test_paths_are_json_pointers() -> None:
    error = InvalidJob("x", issues=[Issue("columns.3.a/b", "is wrong.", "")])
    assert problem_from_error(error).errors[0].pointer == "/columns/3/a~1b"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthenticationFailed),
        (409, Conflict),
        (422, InvalidDocument),
        (503, Unreachable),
        (418, EntenteError),
    ],
)
def test_a_code_from_the_future_becomes_the_nearest_error(
    status: int, kind: type[EntenteError]
) -> None:
    problem = Problem(title="Out of tea", status=status, code="tea.out", detail="Why", hint="Wait")
    error = error_from_problem(problem)
    assert type(error) is kind
    assert (error.title, error.detail, error.hint) == ("Out of tea", "Why", "Wait")


def test_members_of_a_stranger_are_passed_over() -> None:
    problem = Problem.model_validate({"title": "Bad gateway", "status": 502, "balance": 30})
    assert type(error_from_problem(problem)) is Unreachable


def test_a_trace_id_stays_with_the_error() -> None:
    error = error_from_problem(problem_from_error(InternalError("x"), trace_id="abc"))
    assert error.__notes__ == ["trace id: abc"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_every_problem_type_leads_to_its_place_in_the_guide(kind: type[EntenteError]) -> None:
    page, _, anchor = problem_from_error(kind("x")).type.partition("#")
    assert page.endswith("docs/errors.md")
    section = GUIDE.read_text(encoding="utf-8").split(f"\n## {anchor}\n")[1].split("\n## ")[0]
    assert f"`{kind.code}`, HTTP {kind.status}, exit code {int(kind.exit_code)}." in section
    assert kind.hint in section
