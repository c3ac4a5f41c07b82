"""A state and the state that its journal leads to are the same, however much of the journal is read."""

from __future__ import annotations

import asyncio
import datetime
import json
import random
from typing import Any

import dspy
import pytest

from dspy_session import Outcome, Session, SessionState, StateFileError, Turn, with_memory
from dspy_session.conversation import Conversations, TurnRequest, journal
from dspy_session.conversation.restoring import Restored, ShallowError, past_turns, restore
from dspy_session.errors import StoreError
from dspy_session.stores import Commit, Entry, Forget, Journal, MemoryStore
from tests.stub_lm import StubModel


class Echo(dspy.Module):
    """Answers with its question, and keeps what values there are."""

    def forward(self, question: Any) -> dspy.Prediction:
        return dspy.Prediction(answer=f"{question}!", extra={"seen": (1, {2}), "at": datetime.date(2026, 1, 2)})


SEED = dspy.History(messages=[{"question": "who?", "answer": "me"}, {"note": "be brief"}])


def read_anew(chats: Conversations) -> None:
    chats.holds.forget()


def told(turn: Turn) -> tuple[Any, ...]:
    return (turn.index, turn.inputs, turn.outputs, turn.score, turn.history_snapshot)


@pytest.mark.parametrize("seed", range(16))
async def test_any_sequence_of_changes_comes_back(seed: int) -> None:
    chance = random.Random(seed)
    stored = chance.choice([None, 4])
    session = Session(
        Echo(),
        max_turns=chance.choice([None, 0, 1, 3, 6]),
        max_stored_turns=stored,
        exclude_fields=chance.choice([None, {"extra"}]),
        initial_history=chance.choice([None, SEED]),
        history_policy="use_if_provided" if seed % 2 else "replace_session",
    )
    state = session.new_state(initial_history=session.initial_history)  # what everything is compared with
    async with Conversations(session) as chats:

        async def call(**inputs: Any) -> None:
            with session.use_state(state):
                await session.acall(**inputs)
            await chats.acall("k", **inputs)

        for number in range(40):
            step = chance.random()
            if chance.random() < 0.5:
                read_anew(chats)
            if step < 0.6:
                await call(question=f"question {number}")
            elif step < 0.75:
                given = dspy.History(messages=[{"question": "x", "n": number}])
                await call(question=["a", ("b", number)], history=given)
            elif step < 0.9 and stored is None:  # what a state has dropped, its journal still has
                steps = chance.randint(0, 3)
                removed = [turn for _ in range(steps) if (turn := state.pop()) is not None]
                assert list(map(told, await chats.undo("k", steps))) == list(map(told, removed))
            elif step >= 0.9:
                state.reset()
                await chats.reset("k")
            if (await chats.store.read("k", 1)).length:
                again = await chats.state("k")
                assert again == state
                assert again.next_index == state.next_index
        past = await chats.past_turns("k")
        assert [turn.id for turn in past if turn.id in {turn.id for turn in again.turns}] == [
            turn.id for turn in again.turns
        ]


async def test_a_conversation_is_read_no_further_back_than_its_window() -> None:
    session = Session(Echo(), max_turns=3)
    async with Conversations(session) as chats:
        for number in range(50):
            await chats.acall("k", question=str(number))
        read_anew(chats)
        async with chats.holds.hold("k") as hold:
            assert [turn.inputs["question"] for turn in hold.known.state.turns] == ["47", "48", "49"]
            assert [len(turn.history_snapshot.messages) for turn in hold.known.state.turns] == [3, 3, 3]
        await chats.acall("k", question="50")
        (turn,) = (await chats.state("k")).turns[-1:]
        assert (turn.index, [m["question"] for m in turn.history_snapshot.messages]) == (50, ["47", "48", "49"])
        assert [turn.index for turn in await chats.undo("k", 10)] == list(range(50, 40, -1))
        assert len((await chats.state("k")).turns) == 41


async def test_a_window_that_was_larger_once_is_read_as_deep_as_it_takes() -> None:
    wide, narrow = Session(Echo(), max_turns=30), Session(Echo(), max_turns=2)
    store = MemoryStore()
    chats = Conversations(wide, store)
    async with chats:
        for number in range(40):
            await chats.acall("k", question=str(number))
        other = Conversations(narrow, store)
        await other.acall("k", question="now")
        read_anew(other)
        async with other.holds.hold("k") as hold:
            assert [len(turn.history_snapshot.messages) for turn in hold.known.state.turns] == [30, 2]
    with pytest.raises(ShallowError):
        restore(Journal(41, {"turn:": 1}, {1: Entry("turn", _turn("b", 1, [0, 0, 0]), 1.0, 0)}), "k", 1)


def _turn(id_: str, index: int, saw: list[Any]) -> str:
    return f'{{"id":"{id_}","index":{index},"inputs":{{"q":"{id_}"}},"outputs":{{}},"saw":{json.dumps(saw)}}}'


class Pipeline(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = dspy.Predict("question -> thought")
        self.second = dspy.Predict("thought -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        return self.second(thought=self.first(question=question).thought)


@pytest.mark.parametrize("how", ["edited", "forgotten"])
async def test_what_the_parts_of_an_agent_were_asked_goes_with_the_message(how: str) -> None:
    async with Conversations(with_memory(Pipeline())) as chats:
        with dspy.context(lm=StubModel().lm):
            for question in ("one", "my secret", "three"):
                async with chats.turn(TurnRequest("k", {"question": question}, event_id=question)) as turn:
                    assert turn is not None
                    await turn.run()
            (_, second, _) = (await chats.state("k")).turns
            kept = [entry.body async for entry in chats.store.entries("k")]
            assert sum("secret" in body for body in kept) > 1
            if how == "forgotten":
                await chats.forget_message("k", "my secret")
            else:
                async with chats.holds.hold("k") as hold:
                    said = {"question": "(gone)"}
                    await chats.changing(hold).edit(second.id, said, {"answer": "(gone)"}, deleted="my secret")
            kept = [entry.body async for entry in chats.store.entries("k")]
            assert not [body for body in kept if "secret" in body.replace('"event":"my secret"', "")]
            await chats.acall("k", question="four")
        state = await chats.state("k")
        said = ["one", "(gone)"] if how == "edited" else ["one"]
        assert [turn.inputs["question"] for turn in state.turns] == [*said, "three", "four"]
        assert len(state.node_states["first"].turns) == 3


async def test_the_states_of_children_come_back() -> None:
    app = with_memory(
        Pipeline(),
        child_configs={"second": {"lifespan": "episodic", "consolidator": lambda past_memory, **_: past_memory + "+"}},
    )
    state = app.new_state()
    async with Conversations(app) as chats:
        with dspy.context(lm=StubModel().lm):
            for number in range(3):
                read_anew(chats)
                await chats.acall("k", question=str(number))
                with app.use_state(state):
                    await app.acall(question=str(number))
        again = await chats.state("k")
    assert again == state
    assert len(again.node_states["first"].turns) == 3
    assert len(again.node_states["first"].turns[2].history_snapshot.messages) == 2
    assert again.node_states["second"].l2_memory == "+++"


async def test_scores_come_back_and_may_be_taken_back() -> None:
    async with Conversations(Session(Echo(), max_turns=2)) as chats:
        for number in range(6):
            await chats.acall("k", question=str(number))
        turns = (await chats.state("k")).turns
        await chats.score("k", turns[5].id, 1.0, by="U1", text="nice")
        await chats.score("k", turns[5].id, 0.5, by="U1")
        await chats.score("k", turns[0].id, float("nan"), by="U1")  # far outside of the window
        scores = [turn.score for turn in (await chats.state("k")).turns]
        assert str(scores) == "[nan, None, None, None, None, 0.5]"
        await chats.score("k", turns[5].id, None)
        assert (await chats.state("k")).turns[5].score is None
        assert [entry.kind async for entry in chats.store.entries("k")][6:] == ["score"] * 4
        with pytest.raises(Exception, match="has no turn 'nobody'"):
            await chats.score("k", "nobody", 1.0)


async def test_an_edit_shows_from_then_on_and_changes_nothing_that_was_seen() -> None:
    async with Conversations(Session(Echo(), exclude_fields={"extra"})) as chats:
        for number in range(3):
            await chats.acall("k", question=str(number))
        turns = (await chats.state("k")).turns
        await chats.edit("k", turns[0].id, inputs={"question": "corrected"})
        await chats.acall("k", question="3")
        read_anew(chats)
        await chats.acall("k", question="4")
        read_anew(chats)
        saw = [[m["question"] for m in turn.history_snapshot.messages] for turn in (await chats.state("k")).turns]
        assert saw == [[], ["0"], ["0", "1"], ["corrected", "1", "2"], ["corrected", "1", "2", "3"]]
        assert (await chats.state("k")).turns[0].inputs == {"question": "corrected"}
        assert (await chats.state("k")).turns[0].outputs["answer"] == "0!"


async def test_turns_that_saw_the_same_edits_share_what_they_saw() -> None:
    async with Conversations(Session(Echo(), exclude_fields={"extra"})) as chats:
        for number in range(30):
            await chats.acall("k", question=str(number))
            if number in (10, 20):
                turn = (await chats.state("k")).turns[number - 5]
                await chats.edit("k", turn.id, inputs={"question": f"corrected {number}"})
        turns = (await chats.state("k")).turns
        assert len({id(turn.saw.log) for turn in turns}) == 3  # not one for each turn: a thousand would hold millions
        for turn, corrected in ((turns[20], [5]), (turns[21], [5, 15])):
            seen = [message["question"] for message in turn.history_snapshot.messages]
            assert [place for place, question in enumerate(seen) if question != str(place)] == corrected


async def test_every_turn_that_ever_was_can_still_be_told() -> None:
    async with Conversations(Session(Echo(), exclude_fields={"extra"})) as chats:
        for number in range(4):
            await chats.acall("k", question=str(number))
        await chats.undo("k", 2)
        await chats.acall("k", question="other")
        await chats.reset("k")
        await chats.acall("k", question="anew")
        await chats.fork("k", "fork")
        told = [
            (turn.inputs["question"], [m["question"] for m in turn.history_snapshot.messages])
            for turn in await chats.past_turns("fork")
        ]
    assert told == [
        ("0", []),
        ("1", ["0"]),
        ("2", ["0", "1"]),
        ("3", ["0", "1", "2"]),
        ("other", ["0", "1"]),
        ("anew", []),
    ]


async def test_what_was_forgotten_is_missing_and_the_rest_is_exact() -> None:
    async with Conversations(Session(Echo(), exclude_fields={"extra"})) as chats:
        async with chats.turn(_by("ann", "0")) as turn:
            await turn.run()
        for number, user in enumerate(("bob", "ann", "bob"), start=1):
            async with chats.turn(_by(user, str(number))) as turn:
                await turn.run()
        assert await chats.forget_user("ann") == 1
        await chats.acall("k", question="4")
        saw = [
            (turn.index, [m["question"] for m in turn.history_snapshot.messages])
            for turn in (await chats.state("k")).turns
        ]
        assert saw == [(1, []), (3, ["1"]), (4, ["1", "3"])]
        await chats.store.forget(Forget(before=2e10))
        assert (await chats.store.read("k")).length == 0


@pytest.mark.parametrize(
    "forgotten", [range(59), range(57, 60), range(50, 60), range(20, 60), range(60), range(1, 60, 2)]
)
async def test_a_conversation_goes_on_whatever_of_it_was_forgotten(forgotten: range) -> None:
    session = Session(Echo(), max_turns=3)
    async with Conversations(session) as chats, asyncio.timeout(20):
        for number in range(60):
            async with chats.turn(_by("ann" if number in forgotten else "bob", str(number))) as turn:
                await turn.run()
        await chats.forget_user("ann")
        for number in range(60, 70):
            await chats.acall("k", question=str(number))
            read_anew(chats)
        kept = [number for number in range(60) if number not in forgotten] + list(range(60, 70))
        turns = (await chats.state("k")).turns
        assert [turn.inputs["question"] for turn in turns] == [str(number) for number in kept]
        indexes = [turn.index for turn in turns]
        assert indexes == sorted(set(indexes))
        async with chats.holds.hold("k") as hold:
            near = [(turn.index, turn.history_snapshot.messages) for turn in hold.known.state.turns]
        assert near == [(turn.index, turn.history_snapshot.messages) for turn in turns[-3:]]
        (newest,) = await chats.undo("k")
        assert newest.inputs["question"] == "69"


def _by(user: str, question: str) -> Any:
    from dspy_session.conversation import TurnRequest

    return TurnRequest("k", {"question": question}, author=user)


async def test_the_marks_follow_from_the_entries() -> None:
    async with Conversations(Session(Echo())) as chats:
        for number in range(3):
            await chats.acall("k", question=str(number))
        await chats.undo("k")
        store = chats.store
        entries = [entry async for entry in store.entries("k")]
        assert (await store.read("k")).marks == {"turn:": 1}
        assert len(past_turns(entries, "k")) == 3


def test_an_entry_is_small() -> None:
    turn = Turn(0, {"question": "q" * 400}, {"answer": "a" * 400})
    (entry,) = journal.call_change(Outcome(turns=(turn,)), Restored(SessionState()), 1.0).entries
    assert len(entry.body) < 1.2 * 800


def test_a_value_that_cannot_come_back_is_refused_by_name() -> None:
    turn = Turn(0, {"question": object()}, {})
    with pytest.raises(TypeError, match=r"turn 0\.inputs\.question"):
        journal.call_change(Outcome(turns=(turn,)), Restored(SessionState()), 1.0)


def test_lone_surrogates_come_back() -> None:
    turn = Turn(0, {"question": "\ud800"}, {"answer": "ö"})
    change = journal.call_change(Outcome(turns=(turn,)), Restored(SessionState()), 1.0)
    (entry,) = change.entries
    entry.body.encode()
    assert restore(Journal(1, change.marks, {0: entry}), "test").state.turns == [turn]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("turn", "not json"),
        ("turn", "{}"),
        ("turn", "[]"),
        ("turn", "[" * 100_000),
        ("turn", _turn("a", 0, [0, 5, 6, 7])),
        ("turn", _turn("a", 0, [1, 0])),
        ("turn", '{"id":"a","index":0,"inputs":7,"outputs":{},"saw":[0,0]}'),
        ("turn", '{"inputs":{},"outputs":{}}'),
        ("prophecy", "{}"),
    ],
)
async def test_a_damaged_entry_is_named(kind: str, body: str) -> None:
    store = MemoryStore()
    async with Conversations(Session(Echo()), store) as chats:
        entries = [Entry("reset", "{}", 1.0), Entry(kind, body, 1.0)]
        await store.commit(Commit(key="k", expected=0, entries=entries, marks={"turn:": 1}))
        with pytest.raises(StateFileError, match="conversation 'k': entry 1"):
            await chats.state("k")


async def test_a_missing_entry_is_named() -> None:
    store = MemoryStore()
    async with Conversations(Session(Echo()), store) as chats:
        await store.commit(Commit(key="k", expected=0, entries=[Entry("reset", "{}", 1.0)], marks={"turn:": 7}))
        with pytest.raises(StoreError, match="'k' is damaged, entry 7 is missing"):
            await chats.state("k")
