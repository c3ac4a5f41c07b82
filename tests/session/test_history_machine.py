"""Whatever is done to conversations, each turn shows what its call saw: compared with a model of full copies."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any

import dspy
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from dspy_session import Session, SessionState, sessionify
from tests.session.programs import Scripted

pytestmark = pytest.mark.unwatched

Message = dict[str, Any]

words = st.text("abc", min_size=1, max_size=2)
answers = words | st.lists(words, max_size=2)
histories = st.lists(st.fixed_dictionaries({"question": words, "answer": answers}), max_size=3)
windows = st.none() | st.integers(0, 4)


@dataclass
class Said:
    """A turn, with a copy of everything that its call saw."""

    index: int
    inputs: Message
    outputs: Message
    saw: list[Message]
    score: float | None = None


@dataclass
class Naive:
    """A conversation as anybody would write it first: nothing shared, everything copied."""

    seed: list[Message] | None = None
    turns: list[Said] = field(default_factory=list)
    next_index: int = 0

    def history(self, options: dict[str, Any]) -> list[Message]:
        messages = list(self.seed if self.seed is not None else options["initial_history"])
        for turn in self.turns:
            inputs = {name: value for name, value in turn.inputs.items() if name not in options["hidden"]}
            messages.append({**inputs, **turn.outputs})
        window = options["max_turns"]
        messages = messages if window is None else messages[len(messages) - window if len(messages) > window else 0 :]
        return copy.deepcopy(messages)

    def add(self, inputs: Message, outputs: Message, saw: list[Message], stored: int | None) -> None:
        self.turns.append(copy.deepcopy(Said(self.next_index, inputs, outputs, saw)))
        self.next_index += 1
        if stored is not None:
            self.turns = self.turns[max(0, len(self.turns) - stored) :]

    def pop(self) -> None:
        if self.turns:
            self.next_index = self.turns.pop().index


class Conversations(RuleBasedStateMachine):
    """One session, any number of states: bound, forked, trimmed, undone, replaced, saved and loaded in any order."""

    states = Bundle("states")

    @initialize(seed=histories)
    def begin(self, seed: list[Message]) -> None:
        self.answer: Any = ""
        self.session: Session = sessionify(
            Scripted(lambda *_: {"answer": self.answer}),
            initial_history=dspy.History(messages=seed),
            copy_mode="none",
        )
        self.options: dict[str, Any] = {
            "initial_history": copy.deepcopy(seed),
            "max_turns": None,
            "max_stored_turns": None,
            "hidden": set(),
        }
        self.pairs: list[tuple[SessionState, Naive]] = []

    def _new(self, state: SessionState, naive: Naive) -> int:
        self.pairs.append((state, naive))
        return len(self.pairs) - 1

    @rule(target=states, seed=st.none() | histories)
    def new_state(self, seed: list[Message] | None) -> int:
        history = None if seed is None else dspy.History(messages=seed)
        return self._new(self.session.new_state(history), Naive(copy.deepcopy(seed)))

    @rule(target=states, of=states)
    def fork(self, of: int) -> int:
        state, naive = self.pairs[of]
        return self._new(state.fork(), copy.deepcopy(naive))

    @rule(target=states, of=states)
    def save_and_load(self, of: int) -> int:
        state, naive = self.pairs[of]
        data = json.loads(json.dumps(state.to_dict()))
        return self._new(SessionState.from_dict(data), copy.deepcopy(naive))

    @rule(of=states)
    def go_on_from_a_file(self, of: int) -> None:
        state, naive = self.pairs[of]
        self.pairs[of] = (SessionState.from_dict(json.loads(json.dumps(state.to_dict()))), naive)

    @rule(of=states, question=answers, answer=answers, times=st.integers(1, 3))
    def call(self, of: int, question: Any, answer: Any, times: int) -> None:
        state, naive = self.pairs[of]
        for _ in range(times):
            saw = naive.history(self.options)
            self.answer = answer
            with self.session.use_state(state):
                self.session(question=question)
            naive.add({"question": question}, {"answer": answer}, saw, self.options["max_stored_turns"])

    @rule(
        of=states,
        question=words,
        answer=words,
        given=histories,
        policy=st.sampled_from(["override", "use_if_provided", "replace_session"]),
    )
    def call_with_a_history(self, of: int, question: str, answer: str, given: list[Message], policy: str) -> None:
        state, _ = self.pairs[of]
        self.answer = answer
        self.session.history_policy = policy
        with self.session.use_state(state):
            self.session(question=question, history=dspy.History(messages=copy.deepcopy(given)))
        if policy == "override":
            return
        saw = given
        if policy == "replace_session":
            replaced = Naive(copy.deepcopy(given))
            saw = replaced.history(self.options)
            self.pairs[of] = (state, replaced)
        self.pairs[of][1].add({"question": question}, {"answer": answer}, saw, self.options["max_stored_turns"])

    @rule(of=states)
    def fail(self, of: int) -> None:
        state, _ = self.pairs[of]
        program = self.session.module
        answer, program.answer = program.answer, lambda *_: 1 / 0
        try:
            with self.session.use_state(state):
                self.session(question="never recorded")
        except ZeroDivisionError:
            pass
        finally:
            program.answer = answer

    @rule(of=states, question=words, answer=answers)
    def add_turn(self, of: int, question: str, answer: Any) -> None:
        state, naive = self.pairs[of]
        saw = naive.history(self.options)
        with self.session.use_state(state):
            self.session.add_turn({"question": question}, {"answer": answer})
        naive.add({"question": question}, {"answer": answer}, saw, self.options["max_stored_turns"])

    @rule(of=states, steps=st.integers(0, 3))
    def undo(self, of: int, steps: int) -> None:
        state, naive = self.pairs[of]
        with self.session.use_state(state):
            self.session.undo(steps)
        for _ in range(steps):
            naive.pop()

    @rule(of=states)
    def reset(self, of: int) -> None:
        state, naive = self.pairs[of]
        with self.session.use_state(state):
            self.session.reset()
        self.pairs[of] = (state, Naive(naive.seed))

    @rule(of=states, score=st.floats(0, 1))
    def score_the_first(self, of: int, score: float) -> None:
        state, naive = self.pairs[of]
        if naive.turns:
            state.turns[0].score = naive.turns[0].score = score

    @rule(window=windows, stored=st.none() | st.integers(0, 3), hide=st.booleans())
    def change_options(self, window: int | None, stored: int | None, hide: bool) -> None:
        hidden = {"question"} if hide else set()
        self.session.max_turns = self.options["max_turns"] = window
        self.session.max_stored_turns = self.options["max_stored_turns"] = stored
        self.session.history_input_fields = [] if hide else None
        self.options["hidden"] = hidden

    @rule(of=states)
    def change_what_was_read(self, of: int) -> None:
        for turn in self.pairs[of][0].turns:
            for message in (turn.inputs, turn.outputs, *turn.history_snapshot.messages):
                for value in message.values():
                    if isinstance(value, list):
                        value.append("changed")
                message.clear()

    @invariant()
    def everything_is_as_if_everything_had_been_copied(self) -> None:
        for state, naive in self.pairs:
            turns = [
                Said(turn.index, turn.inputs, turn.outputs, turn.history_snapshot.messages, turn.score)
                for turn in state.turns
            ]
            assert turns == naive.turns
            assert state.next_index == naive.next_index
            with self.session.use_state(state):
                assert self.session.session_history.messages == naive.history(self.options)


Conversations.TestCase.settings = settings(stateful_step_count=30)
TestConversations = Conversations.TestCase
