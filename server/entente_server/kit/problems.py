"""Every error of the API as a problem document (RFC 9457)."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from entente_common.contracts.problem import problem_from_error
from entente_common.errors import EntenteError, InternalError, InvalidDocument, Issue, NotFound
from entente_common.ids import new_id
from entente_common.log import get_logger

_log = get_logger(__name__)
MEDIA_TYPE = "application/problem+json"
_NOT_FOUND = 404


def install(app: FastAPI) -> None:
    """Answer all errors of `app` with problem documents."""
    app.add_exception_handler(EntenteError, _on_entente_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_bug)


def problem_response(
    error: EntenteError, request: Request, *, status: int | None = None
) -> JSONResponse:
    """`error` as a response to `request`."""
    trace_id = new_id("trc")
    problem = problem_from_error(error, instance=request.url.path, trace_id=trace_id)
    document = problem.model_dump(mode="json")
    if status is not None:
        document["status"] = status
    return JSONResponse(document, status_code=document["status"], media_type=MEDIA_TYPE)


async def _on_entente_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, EntenteError):
        raise error
    _log.info("refused", path=request.url.path, code=error.code, reason=error.detail)
    return problem_response(error, request)


async def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    issues = [
        Issue(".".join(str(part) for part in fault["loc"]), fault["msg"] + ".", "")
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
    return problem_response(InvalidDocument(str(error.detail)), request, status=error.status_code)


async def _on_bug(request: Request, error: Exception) -> JSONResponse:
    response = problem_response(
        InternalError("The coordinator met a defect.", hint="Report the trace id to the operator."),
        request,
    )
    _log.error("defect", path=request.url.path, exc_info=error)
    return response
