"""Structured logs on stderr, one line an event, with secrets redacted."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, cast

import structlog

_NOISY = ("httpx", "httpcore", "grpc", "asyncio", "uvicorn", "uvicorn.error", "flwr")
_SECRET_NAME = re.compile(r"token|secret|password|passphrase|private|authorization", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"ent_(?:adm|enr)_[A-Za-z0-9_-]+")
_REDACTED = "[redacted]"


def _redact(
    _logger: Any,  # noqa: ANN401 - structlog's processor signature
    _method: str,
    event: MutableMapping[str, Any],
) -> MutableMapping[str, Any]:
    event.update(_without_secrets(event))
    return event


def _without_secrets(value: Any) -> Any:  # noqa: ANN401 - whatever may stand in an event
    if isinstance(value, str):
        return _SECRET_VALUE.sub(_REDACTED, value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_without_secrets(item) for item in value]
    if isinstance(value, Mapping):
        return {
            name: _REDACTED if _SECRET_NAME.search(str(name)) else _without_secrets(item)
            for name, item in value.items()
        }
    return value


def configure_logging(*, process: str, verbose: bool = False) -> None:
    """Send structlog and standard logging to stderr; `process` names the writer in every line.

    Lines are JSON when `ENTENTE_LOG_FORMAT=json`, human-readable otherwise.
    """
    level = logging.DEBUG if verbose else logging.INFO
    as_json = os.environ.get("ENTENTE_LOG_FORMAT") == "json"
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Before the redaction, and as plain text: richer tracebacks show the values of variables.
        structlog.processors.format_exc_info,
        _redact,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=0,
            # Never the formatters that print local variables: those hold tokens and rows.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(process=process)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose events are a phrase and keyword values, never data rows or secrets."""
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger(name))
