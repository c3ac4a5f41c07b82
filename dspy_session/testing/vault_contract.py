"""The contract of what a bot keeps that is part of no conversation.

Subclass it beside ``StoreContract``, with the same fixture ``make_store``.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from dspy_session.stores import Forget, Kept, Vault
from dspy_session.testing.store_contract import HOSTILE_KEYS, MakeStore, complaint, opened

TOKEN = Kept("slack:T1", '{"token": "ä \\ud83d \'\\""}')


class VaultContract:
    """What a ``Vault`` promises.

    Attributes:
        durable: False for a store that may forget when it is closed.
    """

    durable = True

    async def test_what_is_put_in_is_there_until_it_is_pulled_out(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            assert isinstance(store, Vault)
            assert await store.get(TOKEN.name) is None
            await store.put(TOKEN)
            newer = replace(TOKEN, value="", until=7.5)
            await store.put(newer)
            assert await store.get(TOKEN.name) == newer
            assert await store.pull(TOKEN.name) == newer
            assert await store.get(TOKEN.name) is None
            assert await store.pull(TOKEN.name) is None

    async def test_of_many_who_pull_one_gets_it(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.put(TOKEN)
            pulled = await asyncio.gather(*(store.pull(TOKEN.name) for _ in range(20)))
            assert [kept for kept in pulled if kept is not None] == [TOKEN]

    async def test_names_are_listed_by_what_they_begin_with_and_told_apart(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            for name in (*HOSTILE_KEYS, "%", "slack:T1", "slack:T10", "slack_T1"):
                await store.put(Kept(name, name))
            assert await store.names("slack:T1") == ["slack:T1", "slack:T10", "slack:T1:C1:1700.1"]
            assert await store.names("%") == ["%", "%00:%3A"]
            assert set(await store.names()) == {*HOSTILE_KEYS, "%", "slack:T1", "slack:T10", "slack_T1"}
            for name in HOSTILE_KEYS:
                assert (await store.pull(name)).value == name
            assert await complaint(store.put(Kept("\ud800", "")))
            assert await store.get("a") is None

    async def test_what_is_over_is_cleared_out_and_nothing_else(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            for name, until in (("a", 9.0), ("b", 10.0), ("c", None)):
                await store.put(Kept(name, "", until))
            await store.forget(Forget(before=100.0))
            assert await store.clear(10.0) == 1
            assert await store.names() == ["b", "c"]
            assert await store.clear(10.0) == 0

    async def test_it_outlives_the_process(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.put(TOKEN)
        async with opened(make_store) as store:
            assert await store.get(TOKEN.name) == (TOKEN if self.durable else None)
