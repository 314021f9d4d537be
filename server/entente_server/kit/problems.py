"""Every error of the API as a problem document (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from entente_common.contracts.problem import problem_from_error
from entente_common.errors import (
    EntenteError,
    InternalError,
    InvalidDocument,
    Issue,
    NotFound,
    WrongMethod,
)
from entente_common.ids import new_id
from entente_common.log import get_logger

_log = get_logger(__name__)
MEDIA_TYPE = "application/problem+json"
_NOT_FOUND, _METHOD_NOT_ALLOWED = 404, 405
_CHALLENGE = {401: {"WWW-Authenticate": "Bearer"}}


def install(app: FastAPI) -> None:
    """Answer all errors of `app` with problem documents."""
    app.add_exception_handler(EntenteError, _on_entente_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_bug)


def problem_response(
    error: EntenteError, request: Request, *, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """`error` as a response to `request`, and as a line in the log under the same trace id."""
    trace_id = new_id("trc")
    _log.info(
        "refused", path=request.url.path, code=error.code, reason=error.detail, trace_id=trace_id
    )
    problem = problem_from_error(error, instance=request.url.path, trace_id=trace_id)
    return JSONResponse(
        problem.model_dump(mode="json"),
        status_code=error.status,
        media_type=MEDIA_TYPE,
        headers={**_CHALLENGE.get(error.status, {}), **(headers or {})},
    )


async def _on_entente_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, EntenteError):
        raise error
    return problem_response(error, request)


async def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    issues = [
        Issue(_path(fault["loc"]), f"{fault['msg']}.", "See the API reference, docs/api.md.")
        for fault in error.errors()
    ]
    return problem_response(
        InvalidDocument("The request does not validate.", issues=issues), request
    )


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == _NOT_FOUND:
        return problem_response(NotFound(f"{request.url.path} is not served here."), request)
    if error.status_code == _METHOD_NOT_ALLOWED:
        refusal = WrongMethod(f"{request.url.path} does not take {request.method}.")
        return problem_response(refusal, request, headers=error.headers)
    return problem_response(InvalidDocument(str(error.detail)), request)


def _path(location: Sequence[int | str]) -> str:
    """Where in the body a fault lies; elsewhere, which parameter it is."""
    parts = [str(part) for part in location]
    return ".".join(parts[1:] if parts[:1] == ["body"] and len(parts) > 1 else parts)


async def _on_bug(request: Request, error: Exception) -> JSONResponse:
    response = problem_response(
        InternalError("The coordinator met a defect.", hint="Report the trace id to the operator."),
        request,
    )
    _log.error("defect", path=request.url.path, exc_info=error)
    return response
