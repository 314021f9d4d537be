"""What a failed call on the site channel means to a person."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, Final

import grpc
from pydantic import ValidationError

from entente_client.agent.tls_probe import diagnose
from entente_common.contracts.problem import Problem, error_from_problem
from entente_common.errors import EntenteError, InternalError, Unreachable, error_types
from entente_common.protocol.generated.site_pb2 import Refusal

PROBLEM_KEY: Final = "entente-problem-bin"
_NO_CONNECTION: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_WRONG_VERSION: Final = "Install the coordinator's version of Entente at the site."


def error_of_call(
    fault: Any,  # noqa: ANN401 - grpc, untyped
    *,
    address: str,
    tls: Callable[[], ssl.SSLContext],
) -> EntenteError:
    """The error behind a `grpc.RpcError`. May connect once more to find out; it blocks.

    Args:
        fault: What gRPC raised.
        address: Where the call went, `host:port`.
        tls: Makes a TLS context equal to the one of the call.
    """
    problem = dict(fault.trailing_metadata() or ()).get(PROBLEM_KEY)
    if problem is not None:
        return _error_of_problem(problem)
    if fault.code() in _NO_CONNECTION:
        return diagnose(address, tls())
    if fault.code() == grpc.StatusCode.CANCELLED:
        return Unreachable(f"The coordinator at {address} ended the connection.")
    return InternalError(
        f"The coordinator at {address} answered {fault.code().name}.", hint=_WRONG_VERSION
    )


def error_of_refusal(refusal: Refusal) -> EntenteError:
    """The error a `Refusal` message carries."""
    kind = error_types().get(refusal.code, InternalError)
    return kind(refusal.detail, hint=refusal.hint or None)


def _error_of_problem(problem: bytes) -> EntenteError:
    try:
        return error_from_problem(Problem.model_validate_json(problem))
    except ValidationError:
        return InternalError("The coordinator refused without a reason.", hint=_WRONG_VERSION)
