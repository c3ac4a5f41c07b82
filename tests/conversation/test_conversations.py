"""Many conversations: one turn at a time in each, in order, kept in a store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_session import SessionError, StateFileError, sessionify
from dspy_session.conversation import ConversationKey, Conversations, TurnEvent, TurnRequest
from dspy_session.errors import StaleJournalError, StoreError
from dspy_session.stores import Commit, Entry, Forget, Lease, MemoryStore
from tests.stub_lm import StubModel


class Agent(dspy.Module):
    """Counts what it was told before; waits where a test wants it to."""

    def __init__(self) -> None:
        super().__init__()
        self.running: list[str] = []
        self.most = 0
        self.started: dict[str, asyncio.Event] = {}
        self.gates: dict[str, asyncio.Event] = {}

    async def aforward(self, message: str, history: dspy.History) -> dspy.Prediction:
        self.running.append(message)
        self.most = max(self.most, len(self.running))
        try:
            if message in self.started:
                self.started[message].set()
            if message in self.gates:
                await self.gates[message].wait()
            if message.startswith("fail"):
                raise RuntimeError(message)
            return dspy.Prediction(reply=f"{message} after {[m['message'] for m in history.messages]}")
        finally:
            self.running.remove(message)

    def gate(self, message: str) -> tuple[asyncio.Event, asyncio.Event]:
        self.started[message], self.gates[message] = asyncio.Event(), asyncio.Event()
        return self.started[message], self.gates[message]


@pytest.fixture
def agent() -> Agent:
    return Agent()


def conversations(agent: Agent, store: Any = "memory://", **options: Any) -> Conversations:
    return Conversations(sessionify(agent, copy_mode="none"), store, **options)


async def said(chats: Conversations, key: str) -> list[str]:
    return [turn.inputs["message"] for turn in (await chats.state(key)).turns]


async def test_each_conversation_remembers_its_own(agent: Agent) -> None:
    async with conversations(agent) as chats:
        await chats.acall("a", message="one")
        await chats.acall("b", message="two")
        reply = await chats.acall("a", message="three")
        assert reply.reply == "three after ['one']"
        assert (await said(chats, "a"), await said(chats, "b")) == (["one", "three"], ["two"])


async def test_a_key_object_and_its_text_are_one_conversation(agent: Agent) -> None:
    key = ConversationKey("slack", "T1", "C1", "1.2")
    async with conversations(agent) as chats:
        await chats.acall(key, message="one")
        assert await said(chats, "slack:T1:C1:1.2") == ["one"]


async def test_turns_of_one_conversation_run_in_order_of_arrival(agent: Agent) -> None:
    started, gate = agent.gate("m0")
    async with conversations(agent) as chats:
        calls = [asyncio.create_task(chats.acall("a", message=f"m{number}")) for number in range(6)]
        await started.wait()
        assert agent.running == ["m0"]
        gate.set()
        await asyncio.gather(*calls)
        assert await said(chats, "a") == [f"m{number}" for number in range(6)]
        assert agent.most == 1


async def test_different_conversations_run_side_by_side(agent: Agent) -> None:
    gates = [agent.gate(f"m{number}") for number in range(20)]
    async with conversations(agent) as chats:
        calls = [asyncio.create_task(chats.acall(f"k{number}", message=f"m{number}")) for number in range(20)]
        for started, _ in gates:
            await started.wait()
        assert agent.most == 20
        for _, gate in gates:
            gate.set()
        await asyncio.gather(*calls)


async def test_everything_is_there_after_a_restart(agent: Agent, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    async with conversations(agent, url) as chats:
        for number in range(5):
            await chats.acall("a", message=f"m{number}")
        await chats.undo("a", 2)
        await chats.fork("a", "b")
        await chats.acall("b", message="elsewhere")
        await chats.acall("gone", message="x")
        await chats.reset("gone")
        before = {key: await chats.state(key) for key in ("a", "b", "gone")}
    async with conversations(agent, url) as chats:
        assert {key: await chats.state(key) for key in before} == before
        assert (await chats.acall("b", message="more")).reply == "more after ['m0', 'm1', 'm2', 'elsewhere']"
        assert (await chats.acall("gone", message="new")).reply == "new after []"
        assert [info.key for info in await chats.list()] == ["gone", "b", "a"]


async def test_each_turn_is_appended_and_nothing_is_written_again(agent: Agent) -> None:
    store = MemoryStore()
    async with conversations(agent, store) as chats:
        seen: list[Entry] = []
        for number in range(4):
            await chats.acall("a", message=f"m{number}")
            journal = [entry async for entry in store.entries("a")]
            assert journal[:-1] == seen
            assert journal[-1].body.count('"message":') == 1
            seen = journal


async def test_a_failed_turn_leaves_no_trace(agent: Agent) -> None:
    async with conversations(agent) as chats:
        await chats.acall("a", message="one")
        with pytest.raises(RuntimeError, match="fail"):
            await chats.acall("a", message="fail")
        assert (await chats.acall("a", message="two")).reply == "two after ['one']"


async def test_a_cancelled_turn_leaves_no_trace_and_no_lock(agent: Agent) -> None:
    started, _ = agent.gate("slow")
    async with conversations(agent) as chats:
        call = asyncio.create_task(chats.acall("a", message="slow"))
        await started.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await chats.acall("a", message="next")).reply == "next after []"


class SlowStore(MemoryStore):
    """Says when it begins to write, and waits to be let on."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def commit(self, commit: Commit) -> None:
        self.begun.set()
        await self.go_on.wait()
        await super().commit(commit)


async def test_a_turn_that_is_cancelled_while_it_is_written_is_known_afterwards(agent: Agent) -> None:
    store = SlowStore()
    async with conversations(agent, store) as chats:
        call = asyncio.create_task(chats.acall("a", message="one"))
        await store.begun.wait()
        call.cancel()
        await asyncio.sleep(0)
        assert not call.done()  # it ends when the store has ended
        store.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await chats.acall("a", message="two")).reply == "two after ['one']"


async def test_a_store_that_fails_undoes_the_turn(agent: Agent) -> None:
    class Broken(MemoryStore):
        broken = False

        async def commit(self, commit: Commit) -> None:
            if self.broken:
                raise StaleJournalError
            await super().commit(commit)

    hooked: list[int] = []
    store = Broken()
    session = sessionify(agent, copy_mode="none", on_turn=lambda session, turn: hooked.append(turn.index))
    async with Conversations(session, store) as chats:
        await chats.acall("a", message="one")
        store.broken = True
        with pytest.raises(StaleJournalError):
            await chats.acall("a", message="two")
        store.broken = False
        assert await said(chats, "a") == ["one"]
        assert hooked == [0]


async def test_somebody_elses_writing_is_noticed_and_read_at_the_next_turn(agent: Agent) -> None:
    store = MemoryStore()
    async with conversations(agent, store) as here, conversations(agent, store) as there:
        await here.acall("a", message="one")
        await there.acall("a", message="two")
        with pytest.raises(StaleJournalError):
            await here.acall("a", message="three")
        assert (await here.acall("a", message="three")).reply == "three after ['one', 'two']"


async def test_an_event_runs_once(agent: Agent, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    request = TurnRequest("a", {"message": "one"}, event_id="e1")

    async def take(chats: Conversations) -> Any:
        async with chats.turn(request) as turn:
            return None if turn is None else await turn.run()

    async with conversations(agent, url) as chats:
        replies = await asyncio.gather(*(take(chats) for _ in range(3)))
        assert sum(reply is not None for reply in replies) == 1
    async with conversations(agent, url) as chats:
        assert await take(chats) is None
        assert await said(chats, "a") == ["one"]


async def test_an_event_whose_turn_failed_runs_again(agent: Agent) -> None:
    started, gate = agent.gate("slow")
    request = TurnRequest("a", {"message": "slow"}, event_id="e1")
    async with conversations(agent) as chats:

        async def take() -> Any:
            async with chats.turn(request) as turn:
                assert turn is not None
                return await turn.run()

        call = asyncio.create_task(take())
        await started.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        gate.set()
        assert (await take()).reply == "slow after []"


async def test_hooks_and_sinks_hear_of_turns_that_stand() -> None:
    class Collector:
        def __init__(self) -> None:
            self.events: list[TurnEvent] = []

        async def send(self, event: TurnEvent) -> None:
            assert (await store.read(event.key)).length == 1
            self.events.append(event)

        async def aclose(self, grace: float = 5.0) -> None: ...

    hooked: list[str] = []
    store, sink, stub = MemoryStore(), Collector(), StubModel()
    program = dspy.Predict("message -> reply")
    program.set_lm(stub.lm)
    session = sessionify(program, on_turn=lambda session, turn: hooked.append(turn.id))
    async with Conversations(session, store, sinks=[sink], clock=lambda: 1_000_000.0) as chats:
        request = TurnRequest("a", {"message": "hello"}, author="U1", author_name="Ann")
        async with chats.turn(request) as turn:
            assert turn is not None
            await turn.run()
    (event,) = sink.events
    assert (event.key, event.author, event.author_name, event.model) == ("a", "U1", "Ann", stub.lm.model)
    assert event.occurred_at.timestamp() == 1_000_000.0
    assert [event.turn.id] == hooked


async def test_a_stream_is_one_turn() -> None:
    stub = StubModel(lambda prompt: {"reply": "one two three"})
    async with Conversations(dspy.Predict("message -> reply")) as chats:
        with dspy.context(lm=stub.lm):
            items = [item async for item in chats.astream("a", message="hello")]
        assert "".join(item.chunk for item in items[:-1]) == "one two three"
        assert items[-1].reply == "one two three"
        assert len((await chats.state("a")).turns) == 1


async def test_a_stream_that_is_left_early_records_nothing_and_frees_the_conversation() -> None:
    gate = asyncio.Event()
    stub = StubModel(lambda prompt: ["[[ ## reply ## ]]\n", "one ", "two ", "three\n\n", gate, "[[ ## completed ## ]]"])
    async with Conversations(dspy.Predict("message -> reply")) as chats:
        with dspy.context(lm=stub.lm):
            stream = chats.astream("a", message="hello")
            assert (await anext(stream)).chunk
            await stream.aclose()
            gate.set()
            assert (await chats.acall("a", message="again")).reply == "one two three"
        assert [turn.inputs for turn in (await chats.state("a")).turns] == [{"message": "again"}]


async def test_the_state_that_is_given_out_is_a_copy(agent: Agent) -> None:
    async with conversations(agent) as chats:
        await chats.acall("a", message="one")
        (await chats.state("a")).clear()
        assert await said(chats, "a") == ["one"]


async def test_undo_gives_the_turns_back_newest_first(agent: Agent) -> None:
    async with conversations(agent) as chats:
        for number in range(3):
            await chats.acall("a", message=f"m{number}")
        assert [turn.inputs["message"] for turn in await chats.undo("a", 2)] == ["m2", "m1"]
        assert [turn.inputs["message"] for turn in await chats.undo("a", 9)] == ["m0"]
        assert await chats.undo("a") == []
        with pytest.raises(ValueError, match="negative"):
            await chats.undo("a", -1)


async def test_a_fork_overwrites_nothing(agent: Agent) -> None:
    async with conversations(agent) as chats:
        await chats.acall("a", message="one")
        await chats.acall("b", message="two")
        with pytest.raises(StaleJournalError, match="exists already"):
            await chats.fork("a", "b")
        with pytest.raises(SessionError, match="into itself"):
            await chats.fork("a", "a")
        assert await said(chats, "b") == ["two"]


async def test_the_sessions_seed_comes_first_also_after_a_restart(agent: Agent, tmp_path: Path) -> None:
    store, seed = f"sqlite:///{tmp_path}/chat.db", dspy.History(messages=[{"message": "seed", "reply": "ok"}])
    async with Conversations(sessionify(agent, copy_mode="none", initial_history=seed), store) as chats:
        assert (await chats.acall("a", message="one")).reply == "one after ['seed']"
    async with Conversations(sessionify(agent, copy_mode="none"), store) as chats:
        assert (await chats.acall("a", message="two")).reply == "two after ['seed', 'one']"
        assert [len(turn.history_snapshot.messages) for turn in (await chats.state("a")).turns] == [1, 2]


class CountingStore(MemoryStore):
    """Counts how often a journal is read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []

    async def read(self, key: str, depth: int | None = None) -> Any:
        self.reads.append(key)
        return await super().read(key, depth)


async def test_what_is_not_used_is_let_go(agent: Agent) -> None:
    store = CountingStore()
    async with conversations(agent, store, max_loaded=2) as chats:
        for key in ("a", "b", "c", "a", "a", "c"):
            await chats.acall(key, message="x")
        assert store.reads == ["a", "b", "c", "a"]


async def test_what_is_idle_is_let_go(agent: Agent) -> None:
    now = 0.0
    store = CountingStore()
    async with conversations(agent, store, idle=60, clock=lambda: now) as chats:
        await chats.acall("a", message="x")
        now = 30.0
        await chats.acall("a", message="x")
        now = 100.0
        await chats.acall("b", message="x")
        await chats.acall("a", message="x")
        assert store.reads == ["a", "b", "a"]


async def test_a_conversation_in_use_is_never_let_go(agent: Agent) -> None:
    started, gate = agent.gate("slow")
    async with conversations(agent, max_loaded=0) as chats:
        slow = asyncio.create_task(chats.acall("a", message="slow"))
        await started.wait()
        await chats.acall("b", message="x")
        next_one = asyncio.create_task(chats.acall("a", message="next"))
        await asyncio.sleep(0)
        assert agent.running == ["slow"]
        gate.set()
        await slow
        assert (await next_one).reply == "next after ['slow']"


async def test_a_damaged_conversation_is_named_and_the_others_go_on(agent: Agent) -> None:
    store = MemoryStore()
    async with conversations(agent, store) as chats:
        await store.commit(Commit(key="bad", expected=0, entries=[Entry("turn", "{", 1.0)], marks={"turn:": 0}))
        with pytest.raises(StateFileError, match="conversation 'bad': entry 0"):
            await chats.acall("bad", message="x")
        assert (await chats.acall("good", message="x")).reply
        assert (await store.read("bad")).length == 1


async def test_a_turn_that_was_forgotten_meanwhile_fails_and_the_next_one_begins_anew(agent: Agent) -> None:
    async with conversations(agent) as chats:
        await chats.acall("a", message="one")
        started, gate = agent.gate("slow")
        slow = asyncio.create_task(chats.acall("a", message="slow"))
        await started.wait()
        waiting = asyncio.create_task(chats.acall("a", message="next"))
        await asyncio.sleep(0)
        await chats.forget("a")
        gate.set()
        with pytest.raises(StaleJournalError):
            await slow
        assert (await waiting).reply == "next after []"
        assert await said(chats, "a") == ["next"]


async def test_a_score_is_about_its_turn_also_when_older_ones_are_not_kept(agent: Agent) -> None:
    store = MemoryStore()
    async with Conversations(sessionify(agent, copy_mode="none", max_stored_turns=3), store) as chats:
        for number in range(8):
            await chats.acall("k", message=f"m{number}")
        turn = (await chats.state("k")).turns[-1]
        await chats.score("k", turn.id, 1.0)
        assert [turn.score for turn in (await chats.state("k")).turns] == [None, None, 1.0]
        assert [entry.about async for entry in store.entries("k")][-1] == 7


async def test_a_caller_that_is_cancelled_as_its_turn_comes_keeps_no_lease(agent: Agent) -> None:
    store = MemoryStore()
    started, gate = agent.gate("one")
    async with conversations(agent, store) as chats:
        first = asyncio.create_task(chats.acall("k", message="one"))
        await started.wait()
        second = asyncio.create_task(chats.acall("k", message="two"))
        for _ in range(10):  # until it waits for its turn
            await asyncio.sleep(0)
        first.add_done_callback(lambda _: second.cancel())
        gate.set()
        await asyncio.gather(first, second, return_exceptions=True)
        assert await store.acquire("k", "another process", 1.0) is not None


async def test_a_turn_that_outlives_the_closing_says_why_it_fails(agent: Agent) -> None:
    started, gate = agent.gate("one")
    chats = conversations(agent)
    call = asyncio.create_task(chats.acall("k", message="one"))
    await started.wait()
    await chats.aclose()
    gate.set()
    with pytest.raises(StoreError, match="is not open"):
        await call


async def test_a_fork_begins_as_the_other_conversation_did(agent: Agent, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/chats.db"
    async with conversations(agent, store) as chats:
        await chats.acall("k", message="one")
    seed = dspy.History(messages=[{"message": "old", "reply": "ok"}])
    async with Conversations(sessionify(agent, copy_mode="none", initial_history=seed), store) as chats:
        await chats.fork("k", "other")
        assert (await chats.state("other")).initial_history is None


async def test_nobody_in_particular_is_not_forgotten(agent: Agent) -> None:
    async with conversations(agent) as chats:
        await chats.acall("k", message="one")
        with pytest.raises(ValueError, match="empty"):
            await chats.forget_user("")
        assert await said(chats, "k") == ["one"]


class StrictStore(MemoryStore):
    """Refuses who writes under a lease that has run out, until it is renewed."""

    ran_out = False

    async def renew(self, leases: Sequence[Lease], seconds: float) -> Sequence[Lease]:
        kept = await super().renew(leases, seconds)
        self.ran_out = self.ran_out and not kept
        return kept

    async def commit(self, commit: Commit) -> None:
        if self.ran_out:
            raise StaleJournalError
        await super().commit(commit)


async def test_a_turn_whose_lease_ran_out_is_written_if_nobody_took_it(agent: Agent) -> None:
    store = StrictStore()
    started, gate = agent.gate("m")
    async with conversations(agent, store) as chats:
        for taken in (False, True):
            calling = asyncio.create_task(chats.acall("k", message="m"))
            await started.wait()
            store.ran_out = True
            if taken:
                await store.forget(Forget(key="k"))
            gate.set()
            if taken:
                with pytest.raises(StaleJournalError):
                    await calling
            else:
                await calling
                assert await said(chats, "k") == ["m"]
            started.clear()
            gate.clear()


async def test_who_looks_does_not_wait_for_a_turn_that_runs(agent: Agent) -> None:
    async with conversations(agent) as chats:
        await chats.acall("a", message="one")
        started, gate = agent.gate("slow")
        slow = asyncio.create_task(chats.acall("a", message="slow"))
        await started.wait()
        assert await said(chats, "a") == ["one"]
        gate.set()
        await slow
        assert await said(chats, "a") == ["one", "slow"]
