"""A bell wakes those who wait, and a ring between looking and waiting is not missed."""

from __future__ import annotations

import asyncio
import time

from entente_server.kit.bell import Bell


def test_all_who_wait_are_woken_at_once() -> None:
    async def scene() -> list[bool]:
        bell = Bell()
        waiting = [asyncio.create_task(bell.next_ring.wait(timeout_s=10)) for _ in range(3)]
        await asyncio.sleep(0)
        bell.ring()
        return list(await asyncio.gather(*waiting))

    began = time.monotonic()
    assert asyncio.run(scene()) == [True, True, True]
    assert time.monotonic() - began < 5


def test_a_ring_before_the_wait_counts_when_it_was_taken_first() -> None:
    async def scene() -> bool:
        bell = Bell()
        news = bell.next_ring
        bell.ring()
        return await news.wait(timeout_s=0.01)

    assert asyncio.run(scene())


def test_a_past_ring_wakes_nobody_who_comes_later() -> None:
    async def scene() -> bool:
        bell = Bell()
        bell.ring()
        return await bell.next_ring.wait(timeout_s=0.01)

    assert not asyncio.run(scene())
