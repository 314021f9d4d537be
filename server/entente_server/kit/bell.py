"""A bell that wakes whoever waits for news, inside one event loop."""

from __future__ import annotations

import asyncio


class Bell:
    """Waiters wait for the next ring; a ring before they came does not count."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake all who wait now."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, *, timeout_s: float) -> bool:
        """Wait for a ring, at most `timeout_s` seconds; tell whether it rang."""
        try:
            await asyncio.wait_for(self._event.wait(), timeout_s)
        except TimeoutError:
            return False
        return True
