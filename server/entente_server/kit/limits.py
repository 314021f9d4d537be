"""A bound on request bodies, counted as they arrive, before anybody knows who sent them."""

from __future__ import annotations

from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entente_common.contracts.reader import SIZE_LIMIT_BYTES

MAX_BODY_BYTES: Final = SIZE_LIMIT_BYTES + 64 * 1024
"""Room for the largest job, and for what carries it."""


class BodyLimit:
    """Refuses to read a request body beyond `MAX_BODY_BYTES`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        size = 0

        async def counted() -> Message:
            nonlocal size
            event = await receive()
            size += len(event.get("body", b""))
            if size > MAX_BODY_BYTES:
                # Raised where the body is read, so that it becomes a problem document.
                raise HTTPException(413, f"The body is larger than {MAX_BODY_BYTES // 1024} KiB.")
            return event

        await self._app(scope, counted, send)
