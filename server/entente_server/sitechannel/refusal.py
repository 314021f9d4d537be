"""How the site channel says no: logged here, explained there, and never more than meant.

A unary call ends with a gRPC status and the problem document in trailing metadata; a stream gets a
`Refusal` message and ends. A fault that is not an `EntenteError` is logged with its trace and shown
to the site as an internal error without detail.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

import grpc

from entente_common.contracts.problem import problem_from_error
from entente_common.errors import EntenteError, InternalError
from entente_common.log import get_logger
from entente_common.protocol.generated.site_pb2 import CoordinatorMessage, Refusal

PROBLEM_KEY: Final = "entente-problem-bin"
_LONGEST_DETAIL = 1000  # characters; gRPC peers accept 8 KiB of metadata in all
_MOST_ISSUES = 5
_STATUS: Final = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    503: grpc.StatusCode.UNAVAILABLE,
}
_log = get_logger(__name__)


def explain(fault: Exception, *, call: str, peer: str, site: str | None = None) -> EntenteError:
    """Log a refusal or failure and return what the site may know of it."""
    if isinstance(fault, EntenteError):
        _log.warning(
            "site refused", call=call, peer=peer, site=site, code=fault.code, detail=fault.detail
        )
        return fault
    _log.error("site call failed", call=call, peer=peer, site=site, exc_info=fault)
    return InternalError(
        "The coordinator failed to handle the request.",
        hint="Ask the coordinator's admin to look into its log.",
    )


async def abort(context: Any, error: EntenteError) -> NoReturn:  # noqa: ANN401 - grpc, untyped
    """End a unary call with `error`."""
    brief = type(error)(
        error.detail[:_LONGEST_DETAIL], hint=error.hint, issues=error.issues[:_MOST_ISSUES]
    )
    problem = problem_from_error(brief).model_dump_json(exclude_none=True).encode()
    await context.abort(
        _STATUS.get(error.status, grpc.StatusCode.INTERNAL),
        error.title,
        trailing_metadata=((PROBLEM_KEY, problem),),
    )
    raise AssertionError("abort returns never")


def refusal_message(error: EntenteError) -> CoordinatorMessage:
    """`error` as the last message of a stream; its issues are part of the detail."""
    detail = " ".join([error.detail, *map(str, error.issues[:_MOST_ISSUES])]).strip()
    return CoordinatorMessage(
        refusal=Refusal(
            code=error.code, title=error.title, detail=detail[:_LONGEST_DETAIL], hint=error.hint
        )
    )
