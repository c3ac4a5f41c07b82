"""The contract of a store that lets one process at a time work on a conversation."""

from __future__ import annotations

import asyncio

from dspy_session.stores import Commit, Forget
from dspy_session.testing.inbox_contract import LEASE, message
from dspy_session.testing.store_contract import MakeStore, opened, refused, say, turn, whole


class LeaseContract:
    """What ``Leases`` promise."""

    async def test_a_conversation_has_one_holder(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            lease = await store.acquire("k", "one", LEASE)
            assert lease is not None
            assert (lease.key, lease.owner) == ("k", "one")
            assert await store.acquire("k", "two", LEASE) is None
            assert await store.acquire("other", "two", LEASE) is not None
            await store.release(lease)
            assert await store.acquire("k", "two", LEASE) is not None

    async def test_fences_rise_and_an_older_one_writes_nothing(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            old = await store.acquire("k", "one", 0.0)
            new = await store.acquire("k", "two", LEASE)
            assert new.fence > old.fence
            commit = Commit(key="k", expected=0, entries=[turn(0)], marks={"turn:": 0}, lease=old)
            assert await refused(store, commit)
            assert await whole(store, "k") == []
            assert list(await store.renew([old, new], LEASE)) == [new]
            await store.release(old)  # it is not theirs to give
            assert await store.acquire("k", "three", LEASE) is None
            await say(store, "k", lease=new)

    async def test_a_lease_that_is_renewed_goes_on(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            lease = await store.acquire("k", "one", 0.0)
            assert list(await store.renew([lease], LEASE)) == [lease]  # nobody took it meanwhile
            assert await store.acquire("k", "two", LEASE) is None
            await say(store, "k", lease=lease)

    async def test_forgetting_takes_a_conversation_away(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            for key, forget in (("k", Forget(key="k")), ("m", Forget(author="ann"))):
                await store.receive(message("e1", key))
                lease = await store.acquire(key, "one", LEASE)
                await store.forget(forget)
                commit = Commit(key=key, expected=0, entries=[turn(0)], marks={"turn:": 0}, lease=lease)
                assert await refused(store, commit)
                assert await whole(store, key) == []

    async def test_a_conversation_that_is_worked_on_is_not_forgotten_for_its_age(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", 3)
            lease = await store.acquire("k", "one", LEASE)
            assert await store.forget(Forget(before=1500.0)) == 0
            await say(store, "k", lease=lease)
            assert await store.forget(Forget(before=1002.5)) == 0
            await say(store, "k", lease=lease)
            await store.release(lease)
            assert await store.forget(Forget(before=1002.5)) == 1
            kinds = [entry.kind for entry in await whole(store, "k")]
            assert kinds == ["forgotten", "forgotten", "forgotten", "turn", "turn", "forgotten"]

    async def test_many_ask_and_one_gets_it(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            got = await asyncio.gather(*(store.acquire("k", f"o{number}", LEASE) for number in range(20)))
            assert sum(lease is not None for lease in got) == 1

    async def test_a_lease_knows_whether_others_can_have_written(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await say(store, "k", 3)
            lease = await store.acquire("k", "one", LEASE)
            assert lease.length in (None, 3)
