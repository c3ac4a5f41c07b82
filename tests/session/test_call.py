"""One call: what the program is given, what it sees of the past, what the turn keeps."""

from __future__ import annotations

from typing import Any

import dspy
import pydantic
import pytest
from dspy.utils.callback import BaseCallback

from dspy_session import Session, sessionify
from tests.session.programs import Scripted, Team
from tests.stub_lm import StubModel

SEED = dspy.History(messages=[{"question": "s1", "answer": "a1"}, {"question": "s2", "answer": "a2"}])


def questions(history: dspy.History) -> list[str]:
    return [message["question"] for message in history.messages]


def seen(session: Session) -> list[list[str]]:
    """The questions that each turn saw before it."""
    return [questions(turn.history_snapshot) for turn in session.turns]


# --- the four ways in


class Calls(BaseCallback):
    def __init__(self) -> None:
        self.started: list[Any] = []

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.started.append(instance)


@pytest.mark.parametrize("way", ["__call__", "forward", "acall", "aforward"])
async def test_the_four_ways_in_do_the_same(way: str) -> None:
    callers: list[Any] = []

    def answer(question: str, history: dspy.History) -> dspy.Prediction:
        callers.extend(dspy.settings.caller_modules)
        return dspy.Prediction(answer=f"{question} after {len(history.messages)}")

    session = sessionify(Scripted(answer), initial_history=SEED)
    calls = Calls()
    session.callbacks.append(calls)
    result = getattr(session, way)(question="hello")
    result = await result if way.startswith("a") else result

    assert result.answer == "hello after 2"
    assert calls.started == [session]
    assert session in callers
    [turn] = session.turns
    assert (turn.index, turn.inputs, turn.outputs) == (0, {"question": "hello"}, {"answer": "hello after 2"})
    assert turn.history_snapshot == SEED


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_usage_is_tracked(stub: StubModel, asynchronous: bool) -> None:
    session = sessionify(Team())
    with dspy.context(track_usage=True):
        result = await session.acall(question="?") if asynchronous else session(question="?")
    assert result.get_lm_usage()["stub/stub"]["prompt_tokens"] > 0


def test_inputs_are_keyword_arguments() -> None:
    session = sessionify(Scripted())
    with pytest.raises(TypeError):
        session("hello")
    assert len(session) == 0


# --- the history that a call sees


def test_seed_then_turns_then_the_window_over_both() -> None:
    session = sessionify(Scripted(), initial_history=SEED, max_turns=3)
    for question in "abcd":
        session(question=question)
    assert seen(session) == [["s1", "s2"], ["s1", "s2", "a"], ["s2", "a", "b"], ["a", "b", "c"]]
    assert questions(session.session_history) == ["b", "c", "d"]


def test_the_seed_of_the_state_comes_before_the_seed_of_the_session() -> None:
    session = sessionify(Scripted(), initial_history=SEED)
    own = session.new_state(initial_history=dspy.History(messages=[{"question": "mine", "answer": "!"}]))
    empty = session.new_state(initial_history=dspy.History(messages=[]))
    for state, expected in ((own, ["mine"]), (empty, []), (session.new_state(), ["s1", "s2"])):
        with session.use_state(state):
            session(question="x")
            assert seen(session) == [expected]


@pytest.mark.parametrize(("window", "expected"), [(0, []), (1, ["b"]), (2, ["a", "b"]), (None, ["s1", "s2", "a", "b"])])
def test_windows(window: int | None, expected: list[str]) -> None:
    session = sessionify(Scripted(), initial_history=SEED, max_turns=window)
    session(question="a")
    session(question="b")
    assert questions(session.session_history) == expected
    assert len(session) == 2


def test_a_window_reaches_into_the_past_that_trimming_leaves() -> None:
    session = sessionify(Scripted(), max_turns=3, max_stored_turns=2)
    for question in "abcd":
        session(question=question)
    assert seen(session) == [["a", "b"], ["b", "c"]]
    assert [turn.index for turn in session.turns] == [2, 3]


def test_messages_hold_inputs_and_outputs_less_what_is_excluded() -> None:
    class Answer(dspy.Module):
        def forward(self, question: str, context: str, tone: str, history: dspy.History) -> dspy.Prediction:
            return dspy.Prediction(answer=question.upper(), why=context)

    given = {"question": "q", "context": "c", "tone": "t"}

    def message(**options: Any) -> dict[str, Any]:
        session = sessionify(Answer(), **options)
        session(**given)
        assert session.turns[0].inputs == given
        assert session.turns[0].outputs == {"answer": "Q", "why": "c"}
        [message] = session.session_history.messages
        return message

    assert message() == {**given, "answer": "Q", "why": "c"}
    assert message(exclude_fields={"context", "why"}) == {"question": "q", "tone": "t", "answer": "Q"}
    assert message(history_input_fields={"question"}) == {"question": "q", "answer": "Q", "why": "c"}
    assert message(history_input_fields=["question", "tone"], exclude_fields=["tone"]) == {
        "question": "q",
        "answer": "Q",
        "why": "c",
    }
    assert message(history_input_fields=()) == {"answer": "Q", "why": "c"}


def test_the_history_field_is_excluded_whatever_it_holds() -> None:
    session = sessionify(Scripted(lambda question, _: {"answer": question, "history": "a text"}))
    session(question="a")
    assert session.turns[0].outputs == {"answer": "a", "history": "a text"}
    assert session.session_history.messages == [{"question": "a", "answer": "a"}]


def test_seed_messages_are_shown_whole() -> None:
    session = sessionify(Scripted(), initial_history=SEED, exclude_fields={"answer"}, history_input_fields=[])
    session(question="a")
    assert session.session_history.messages == [*SEED.messages, {}]


# --- what a turn keeps


def test_inputs_that_neither_signature_nor_forward_names_are_not_kept(stub: StubModel) -> None:
    session = sessionify(dspy.Predict("question, tone -> answer"))
    session(question="q", tone="t", config={"temperature": 0.5}, mood="blue")
    assert session.turns[0].inputs == {"question": "q", "tone": "t"}


def test_inputs_of_a_program_are_its_named_parameters_and_its_signature() -> None:
    class Loose(dspy.Module):
        def forward(self, question: str, *, tone: str = "dry", **more: Any) -> dict[str, Any]:
            return {"answer": question}

    class Declared(Loose):
        signature = None

        def __init__(self) -> None:
            super().__init__()
            self.signature = dspy.Signature("place -> answer")

    given = {"question": "q", "tone": "t", "place": "p", "extra": 1}
    loose, declared = sessionify(Loose()), sessionify(Declared())
    loose(**given)
    declared(**given)
    assert loose.turns[0].inputs == given
    assert declared.turns[0].inputs == {"question": "q", "tone": "t", "place": "p"}


class Reply(pydantic.BaseModel):
    text: str
    tags: list[str] = []


@pytest.mark.parametrize(
    ("result", "outputs"),
    [
        (dspy.Prediction(answer="a", score=1), {"answer": "a", "score": 1}),
        (dspy.Example(answer="a"), {"answer": "a"}),
        ({"answer": "a", 1: "b"}, {"answer": "a", "1": "b"}),
        (Reply(text="t", tags=["x"]), {"text": "t", "tags": ["x"]}),
        ("plain", {"output": "plain"}),
        (None, {"output": None}),
        (["a", "b"], {"output": ["a", "b"]}),
    ],
)
async def test_outputs_by_the_kind_of_result(result: Any, outputs: dict[str, Any]) -> None:
    session = sessionify(Scripted(lambda *_: result))
    assert session(question="?") is result
    assert (await session.acall(question="?")) is result
    assert [turn.outputs for turn in session.turns] == [outputs, outputs]


def test_the_history_is_in_no_turn() -> None:
    session = sessionify(Scripted(lambda question, history: {"answer": question, "past": history}))
    session(question="a")
    session(question="b", history=None)
    assert [turn.inputs for turn in session.turns] == [{"question": "a"}, {"question": "b"}]
    assert [turn.outputs for turn in session.turns] == [{"answer": "a"}, {"answer": "b"}]


def test_a_turn_is_fixed_but_for_its_score() -> None:
    session = sessionify(Scripted())
    session(question="a")
    [turn] = session.turns
    for name in ("index", "id", "inputs", "outputs", "history_snapshot", "created_at"):
        with pytest.raises(AttributeError):
            setattr(turn, name, {})
    turn.score = 0.5
    assert session.turns[0].score == 0.5


def test_ids_are_unique_and_never_used_again() -> None:
    session = sessionify(Scripted())
    ids = set()
    for _ in range(3):
        session(question="a")
        session(question="b")
        ids |= {turn.id for turn in session.turns}
        session.reset()
    assert len(ids) == 6


# --- aliasing


def test_what_the_caller_changes_afterwards_changes_no_turn() -> None:
    given = ["x", {"deep": [1]}]
    returned = {"answer": ["a"]}
    session = sessionify(Scripted(lambda *_: returned))
    session(question=given)
    given.append("y")
    given[1]["deep"].append(2)  # type: ignore[index]
    returned["answer"].append("b")
    assert session.turns[0].inputs == {"question": ["x", {"deep": [1]}]}
    assert session.turns[0].outputs == {"answer": ["a"]}


def test_an_input_that_has_the_name_of_an_output_is_a_snapshot_too() -> None:
    session = sessionify(Scripted(lambda *_: {"question": "rewritten"}))
    session(question=["as given"])
    session.turns[0].inputs["question"].append("changed")
    assert session.turns[0].inputs == {"question": ["as given"]}
    assert session.turns[0].outputs == {"question": "rewritten"}
    assert session.session_history.messages == [{"question": "rewritten"}]


def test_what_the_program_changes_of_its_inputs_changes_no_turn() -> None:
    def greedy(question: list[str], history: dspy.History) -> str:
        question.clear()
        history.messages.append({"question": "invented"})
        for message in history.messages:
            message["question"] = "rewritten"
        return "done"

    session = sessionify(Scripted(greedy), initial_history=SEED)
    session(question=["a"])
    session(question=["b"])
    assert [turn.inputs["question"] for turn in session.turns] == [["a"], ["b"]]
    assert questions(session.turns[1].history_snapshot) == ["s1", "s2", ["a"]]  # type: ignore[list-item]
    assert session.initial_history == SEED


def test_changing_a_value_of_a_turn_changes_no_other_history() -> None:
    session = sessionify(Scripted(lambda *_: {"answer": ["a"]}))
    session(question=["q"])
    session(question=["r"])
    first, second = session.turns
    first.inputs["question"].append("changed")
    first.outputs["answer"].append("changed")
    second.history_snapshot.messages[0]["answer"].append("changed")
    second.history_snapshot.messages.clear()
    session.session_history.messages[0]["question"].append("changed")
    assert second.history_snapshot.messages == [{"question": ["q"], "answer": ["a"]}]
    assert session.turns[0].inputs == {"question": ["q"]}


def test_changing_the_seed_object_afterwards_changes_no_session() -> None:
    seed = dspy.History(messages=[{"question": ["q"]}])
    session = sessionify(Scripted(), initial_history=seed)
    state = session.new_state(initial_history=seed)
    seed.messages[0]["question"].append("changed")
    seed.messages.append({"question": "more"})
    assert session.initial_history == state.initial_history == dspy.History(messages=[{"question": ["q"]}])
    state.initial_history.messages.clear()
    assert len(state.initial_history.messages) == 1


def test_models_and_predictions_are_snapshots_too() -> None:
    reply = Reply(text="t", tags=["x"])
    session = sessionify(Scripted(lambda *_: {"answer": reply, "pair": (reply, {reply.text})}))
    session(question="?")
    reply.tags.append("y")
    outputs = session.turns[0].outputs
    assert outputs["answer"].tags == outputs["pair"][0].tags == ["x"]
    outputs["answer"].tags.append("z")
    assert session.turns[0].outputs["answer"].tags == ["x"]


def test_a_value_that_contains_itself_is_kept() -> None:
    ring: list[Any] = ["a"]
    ring.append(ring)
    session = sessionify(Scripted(lambda *_: "fine"))
    session(question=ring)
    kept = session.turns[0].inputs["question"]
    assert kept is not ring
    assert kept[1][0] == "a"


def test_a_value_that_cannot_be_copied_is_kept_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    generator = (number for number in range(3))
    session = sessionify(Scripted(lambda *_: "fine"))
    session(question=generator)
    assert session.turns[0].inputs["question"] is generator
    assert "A value of type generator cannot be copied" in caplog.text
