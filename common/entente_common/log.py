"""Structured logs on stderr, one line an event, with secrets redacted."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from typing import Any, cast

import structlog

_NOISY = ("httpx", "httpcore", "grpc", "asyncio", "uvicorn", "uvicorn.error", "flwr")
_SECRET_NAME = re.compile(r"token|secret|password|passphrase|private|authorization", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"ent_(?:adm|enr)_[A-Za-z0-9_-]+")


def _redact(
    _logger: Any,  # noqa: ANN401 - structlog's processor signature
    _method: str,
    event: MutableMapping[str, Any],
) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if _SECRET_NAME.search(key):
            event[key] = "[redacted]"
        elif isinstance(value, str):
            event[key] = _SECRET_VALUE.sub("[redacted]", value)
    return event


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
        _redact,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
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
