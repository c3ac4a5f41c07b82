"""The contract of what limits count.

Subclass it beside ``StoreContract``, with the same fixture ``make_store``.
"""

from __future__ import annotations

import asyncio
import math

from dspy_session.stores import Adjustment, Charge, Forget, Refusal
from dspy_session.stores.ledger import SKEW_SECONDS, Ledger
from dspy_session.testing.store_contract import MakeStore, complaint, opened

NOW = 1_790_000_000.25
MIDNIGHT = 1_790_035_200.0
MINUTE = 60.0


def bucket(account: str = "bucket", amount: float = 1.0, owner: str = "") -> Charge:
    """A charge on an account for ten a minute."""
    return Charge(account, amount, 10.0, 10.0 / MINUTE, owner=owner)


def budget(account: str = "budget", amount: float = 1.0, owner: str = "") -> Charge:
    """A charge on an account for ten until midnight."""
    return Charge(account, amount, 10.0, ends_at=MIDNIGHT, owner=owner)


async def left(ledger: Ledger, charge: Charge, at: float = NOW) -> int:
    """How often a charge can be made; afterwards it cannot."""
    count = 0
    while await ledger.charge([charge], at) is None:
        count += 1
        assert count < 100, "it has no limit"
    return count


class LedgerContract:
    """What a ``Ledger`` promises.

    Attributes:
        durable: False for a store that may forget when it is closed.
    """

    durable = True

    async def test_an_account_is_charged_up_to_its_capacity(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            assert isinstance(store, Ledger)
            assert await left(store, bucket()) == 10
            assert await left(store, budget()) == 10
            assert await left(store, budget("another", 3.0)) == 3
            assert await store.charge([budget("another", 1.0)], NOW) is None  # what was refused was not counted
            assert await store.charge([bucket(amount=0.0)], NOW) is None
            assert await store.charge([], NOW) is None

    async def test_a_bucket_refills_by_and_by(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await left(store, bucket())
            assert await left(store, bucket(), NOW + 18.0) == 3
            assert await left(store, bucket(), NOW + 18.0 + 10 * MINUTE) == 10

    async def test_a_refusal_says_when_it_works_again(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await left(store, bucket())
            refusal = await store.charge([bucket(amount=2.0)], NOW + 3.0)
            assert refusal.account == "bucket"
            assert abs(refusal.at - (NOW + 12.0)) < 0.001
            assert await store.charge([bucket(amount=2.0)], NOW + 11.9) is not None
            assert await store.charge([bucket(amount=2.0)], refusal.at) is None

    async def test_a_budget_is_refused_until_it_ends_and_a_charge_that_never_fits_for_ever(
        self, make_store: MakeStore
    ) -> None:
        async with opened(make_store) as store:
            assert await store.charge([budget(amount=7.5)], NOW) is None
            assert await store.charge([budget(amount=3.0)], NOW) == Refusal("budget", MIDNIGHT)
            assert await store.charge([Charge("endless", 7.0, 10.0)], NOW) is None
            assert await store.charge([Charge("endless", 7.0, 10.0)], NOW) == Refusal("endless", math.inf)
            for fresh in (bucket("fresh", 10.5), budget("fresh", 11.0)):
                assert await store.charge([fresh], NOW) == Refusal("fresh", math.inf)

    async def test_all_charges_are_made_or_none(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await left(store, budget("full"))
            refusal = await store.charge([bucket("a", 4.0), budget("full"), budget("b", 4.0)], NOW)
            assert refusal == Refusal("full", MIDNIGHT)
            assert await left(store, bucket("a")) == 10
            assert await left(store, budget("b")) == 10

    async def test_of_several_refusals_the_longest_counts(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await left(store, bucket())
            await left(store, budget())
            assert (await store.charge([budget(), bucket()], NOW)).account == "budget"
            assert (await store.charge([bucket(), budget()], NOW)).account == "budget"

    async def test_an_account_may_be_named_twice(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            assert await store.charge([budget(amount=6.0), budget(amount=5.0)], NOW) is not None
            assert await store.charge([budget(amount=6.0), budget(amount=4.0)], NOW) is None
            await store.adjust([Adjustment("budget", -1.0), Adjustment("budget", -2.0)], NOW)
            assert await left(store, budget()) == 3

    async def test_sums_of_money_add_up(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            assert await left(store, Charge("money", 0.1, 1.0, ends_at=MIDNIGHT)) == 10

    async def test_what_was_reserved_is_corrected_by_what_was_used(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.charge([budget(amount=8.0)], NOW)
            await store.adjust([Adjustment("budget", -5.0)], NOW)
            assert await left(store, budget()) == 7
            await store.adjust([Adjustment("budget", 4.0)], NOW)  # beyond the capacity
            await store.adjust([Adjustment("budget", -4.0)], NOW)
            assert await left(store, budget()) == 0
            await store.adjust([Adjustment("budget", -100.0)], NOW)  # not below nothing
            assert await left(store, budget()) == 10

    async def test_a_bucket_is_corrected_as_it_stands_now(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await left(store, bucket())
            await store.adjust([Adjustment("bucket", 5.0)], NOW + MINUTE)
            assert await left(store, bucket(), NOW + MINUTE) == 5

    async def test_an_account_that_is_gone_stays_gone(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.adjust([Adjustment("budget", 9.0)], NOW)
            assert await left(store, budget()) == 10

    async def test_a_clock_that_is_behind_refills_nothing(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await left(store, bucket(), NOW)
            for behind in (1.0, 5 * MINUTE, SKEW_SECONDS):
                assert await left(store, bucket(), NOW - behind) == 0
                assert await left(store, bucket(), NOW) == 0  # nor is anything refilled twice
            refusal = await store.charge([bucket()], NOW - 5 * MINUTE)
            assert abs(refusal.at - (NOW + 6.0)) < 0.001

    async def test_nobody_waits_for_a_clock_that_was_far_ahead(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            endless = Charge("endless", 1.0, 10.0)
            for charge in (bucket(), endless):
                await left(store, charge, NOW + 400 * 86400.0)
            assert await left(store, bucket(), NOW) == 10
            assert await left(store, bucket(), NOW + 6.0) == 1
            assert await left(store, endless, NOW) == 0  # nothing of it comes back, whatever the time

    async def test_a_limit_may_be_changed(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await left(store, bucket())
            assert await left(store, Charge("bucket", 1.0, 15.0, 1.0), NOW) == 5
            assert await left(store, Charge("bucket", 1.0, 15.0, 1.0), NOW + 2.0) == 2
            assert await left(store, Charge("bucket", 1.0, 5.0, 1.0), NOW + 2.0) == 0

    async def test_many_charge_at_once_and_as_many_as_fit_are_let_in(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            for charge in (bucket(), budget()):
                both = [charge, Charge("all", 1.0, 1000.0, ends_at=MIDNIGHT)]
                turns = [both if number % 2 else both[::-1] for number in range(50)]
                refusals = await asyncio.gather(*(store.charge(turn, NOW) for turn in turns))
                assert refusals.count(None) == 10
            assert await left(store, Charge("all", 490.0, 1000.0, ends_at=MIDNIGHT)) == 2

    async def test_a_users_accounts_are_forgotten_with_them(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            ann, bob = (bucket(name, owner=f"slack:T:{name}") for name in ("ann", "bob"))
            for charge in (ann, bob, budget()):
                await left(store, charge)
            await store.forget(Forget(author="slack:T:ann"))
            await store.forget(Forget(author=""))  # nobody in particular
            await store.adjust([Adjustment("ann", 9.0)], NOW)  # a turn that was under way
            assert await left(store, ann) == 10
            assert await left(store, bob) == 0

    async def test_what_is_over_goes_with_retention_and_what_is_not_stays(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            for charge in (bucket(), budget()):
                await left(store, charge)
            assert await store.forget(Forget(before=NOW + 59.0)) == 0
            assert [await left(store, charge) for charge in (bucket(), budget())] == [0, 0]
            assert await store.forget(Forget(before=MIDNIGHT + 1.0)) == 0
            assert [await left(store, charge) for charge in (bucket(), budget())] == [10, 10]

    async def test_names_are_told_apart_whatever_they_hold(self, make_store: MakeStore) -> None:
        names = ("a", "A", "a ", "x'; DROP TABLE accounts; --", "näme:ключ:鍵", "k" * 2000, '"', "\\")
        async with opened(make_store) as store:
            for name in names:
                assert await left(store, budget(name, 5.0)) == 2
            assert await complaint(store.charge([budget("\ud800")], NOW))
            assert await left(store, budget()) == 10

    async def test_what_was_counted_outlives_the_process(self, make_store: MakeStore) -> None:
        async with opened(make_store) as store:
            await store.charge([budget(amount=8.0)], NOW)
        async with opened(make_store) as store:
            assert await left(store, budget()) == (2 if self.durable else 10)
