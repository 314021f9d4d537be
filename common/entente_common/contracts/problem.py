"""Errors on the wire: problem documents (RFC 9457), and back again.

What a person reads is the same on either side: `problem_from_error` and `error_from_problem` keep
code, title, detail, hint and issues.
"""

from __future__ import annotations

from pydantic import Field

from entente_common.contracts.fields import WireModel
from entente_common.errors import (
    AuthenticationFailed,
    Conflict,
    EntenteError,
    InvalidDocument,
    Issue,
    NotFound,
    PermissionRefused,
    Unreachable,
    error_types,
)

MEDIA_TYPE = "application/problem+json"
_DOCUMENTATION = "https://github.com/entente-fl/entente/blob/main/docs/errors.md"
_BY_STATUS: dict[int, type[EntenteError]] = {
    401: AuthenticationFailed,
    403: PermissionRefused,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    422: InvalidDocument,
    502: Unreachable,
    503: Unreachable,
    504: Unreachable,
}


class ProblemIssue(WireModel):
    """One fault of a document or dataset.

    Attributes:
        pointer: Where, as a JSON Pointer (RFC 6901): `/training/rounds`.
        detail: What is wrong.
        cure: What to write instead.
    """

    pointer: str
    detail: str
    cure: str = ""


class Problem(WireModel):
    """A problem document (RFC 9457) with Entente's members.

    Attributes:
        type: Where the problem is documented.
        title: What happened, the same for every occurrence.
        status: HTTP status, 400 to 599.
        detail: Why, this time.
        instance: The request it happened in, or `None`.
        code: The error's code, for example `job.invalid`; empty when a stranger answered.
        hint: What to do next.
        trace_id: The line to look for in the coordinator's log, or `None`.
        errors: Every fault, where there are several.
    """

    type: str = "about:blank"
    title: str
    status: int = Field(ge=400, le=599)
    detail: str = ""
    instance: str | None = None
    code: str = ""
    hint: str = ""
    trace_id: str | None = None
    errors: tuple[ProblemIssue, ...] = ()


def problem_from_error(
    error: EntenteError, *, instance: str | None = None, trace_id: str | None = None
) -> Problem:
    """`error` as a problem document.

    Args:
        error: What happened.
        instance: The path of the request, if there was one.
        trace_id: What finds the request in the log, if it was logged.
    """
    return Problem(
        type=f"{_DOCUMENTATION}#{error.code.replace('.', '-')}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        instance=instance,
        code=error.code,
        hint=error.hint,
        trace_id=trace_id,
        errors=tuple(
            ProblemIssue(pointer=_pointer(issue.path), detail=issue.reason, cure=issue.cure)
            for issue in error.issues
        ),
    )


def error_from_problem(problem: Problem) -> EntenteError:
    """The error that `problem` tells of, to be raised again.

    A code this version does not know, or none, becomes the class nearest to the HTTP status, with
    the problem's own title. A trace id is kept as a note on the error.
    """
    kind = error_types().get(problem.code) or _BY_STATUS.get(problem.status, EntenteError)
    error = kind(
        problem.detail,
        hint=problem.hint or None,
        issues=[Issue(_path(told.pointer), told.detail, told.cure) for told in problem.errors],
    )
    error.title = problem.title
    if problem.trace_id is not None:
        error.add_note(f"trace id: {problem.trace_id}")
    return error


def _pointer(path: str) -> str:
    """A dotted path as a JSON Pointer; the whole document is the empty pointer."""
    parts = [part.replace("~", "~0").replace("/", "~1") for part in path.split(".")]
    return "".join(f"/{part}" for part in parts) if path else ""


def _path(pointer: str) -> str:
    parts = pointer.removeprefix("#").removeprefix("/").split("/")
    return ".".join(part.replace("~1", "/").replace("~0", "~") for part in parts)
