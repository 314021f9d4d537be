"""A bell that wakes whoever waits for news, inside one event loop.

To miss nothing, take the next ring first, then look for news, and wait for the ring if there is
none: a ring that came in between has then already happened.
"""

from __future__ import annotations

import asyncio


class Ring:
    """One ring of a bell, yet to come or past."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def happen(self) -> None:
        """Wake all who wait for it."""
        self._event.set()

    async def wait(self, *, timeout_s: float) -> bool:
        """Wait for it, at most `timeout_s` seconds; tell whether it has happened."""
        try:
            await asyncio.wait_for(self._event.wait(), timeout_s)
        except TimeoutError:
            return False
        return True


class Bell:
    """Rings whenever there is news."""

    def __init__(self) -> None:
        self._next = Ring()

    @property
    def next_ring(self) -> Ring:
        """The ring that is yet to come."""
        return self._next

    def ring(self) -> None:
        """Wake all who wait for the next ring."""
        self._next.happen()
        self._next = Ring()
