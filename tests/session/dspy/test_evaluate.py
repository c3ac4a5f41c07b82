"""Evaluation: every example starts from its own history, and the session is afterwards what it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import dspy
import pytest

from dspy_session import Session, SessionState, sessionify
from tests.stub_lm import StubModel

QUESTIONS = [dspy.Example(question=f"q{number}").with_inputs("question") for number in range(6)]


def good(example: dspy.Example, prediction: Any, trace: Any = None) -> float:
    return 1.0


def evaluate(program: dspy.Module, examples: list[dspy.Example], num_threads: int = 1) -> list[Any]:
    evaluation = dspy.Evaluate(devset=examples, metric=good, num_threads=num_threads, max_errors=1)
    return [prediction for _, prediction, _ in evaluation(program).results]


def alone(stub: StubModel) -> bool:
    """True when every prompt was a first one."""
    return all(len(prompt.messages) == 1 for prompt in stub.prompts)


class Asking(dspy.Module):
    """A program with a session inside."""

    def __init__(self, session: Session | None = None) -> None:
        super().__init__()
        self.chat = session or sessionify(dspy.Predict("question -> answer"))

    def forward(self, question: str) -> Any:
        return self.chat(question=question)


class AskingInThreads(Asking):
    def forward(self, question: str) -> Any:
        pairs = [(self.chat, {"question": question})]
        return dspy.Parallel(num_threads=2, disable_progress_bar=True)(pairs)[0]


class AskingInThreadsOfThreads(Asking):
    def forward(self, question: str) -> Any:
        pairs = [(AskingInThreads(self.chat), {"question": question})]
        return dspy.Parallel(num_threads=2, disable_progress_bar=True)(pairs)[0]


class AskingInALoop(Asking):
    def forward(self, question: str) -> Any:
        return asyncio.run(self.chat.acall(question=question))


@pytest.mark.parametrize("num_threads", [1, 4])
@pytest.mark.parametrize("lock", ["none", "thread", "async"])
def test_examples_do_not_see_one_another(stub: StubModel, num_threads: int, lock: str) -> None:
    heard: list[Any] = []
    session = sessionify(dspy.Predict("question -> answer"), lock=lock, on_turn=lambda _, turn: heard.append(turn))
    session(question="before")
    stub.prompts.clear()
    evaluate(session, QUESTIONS, num_threads)
    assert alone(stub)
    assert [turn.inputs["question"] for turn in session.turns] == ["before"]
    assert len(heard) == 1


@pytest.mark.parametrize("program", [Asking, AskingInThreads, AskingInThreadsOfThreads, AskingInALoop])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_session_inside_an_evaluated_program_does_not_either(
    stub: StubModel, program: Callable[[], Asking], wrapped: bool
) -> None:
    inner = program()
    outer = sessionify(inner, copy_mode="none") if wrapped else inner
    evaluate(outer, QUESTIONS)
    assert alone(stub)
    assert not len(inner.chat)
    assert not wrapped or not len(outer)
    outer(question="afterwards it remembers")
    outer(question="again")
    assert "afterwards it remembers" in stub.prompts[-1].messages[0]["content"]


def test_what_a_program_says_twice_in_one_example_it_remembers_there(stub: StubModel) -> None:
    class Insisting(Asking):
        def forward(self, question: str) -> Any:
            self.chat(question=f"first {question}")
            return self.chat(question=f"second {question}")

    session = sessionify(Insisting())
    evaluate(session, QUESTIONS)
    assert [len(prompt.messages) for prompt in stub.prompts] == [1, 3] * len(QUESTIONS)
    assert not len(session.module.chat)


def test_examples_start_from_the_seed(stub: StubModel) -> None:
    seed = dspy.History(messages=[{"question": "seed", "answer": "grain"}])
    session = sessionify(dspy.Predict("question -> answer"), initial_history=seed)
    bound = session.new_state(initial_history=dspy.History(messages=[{"question": "corn", "answer": "maize"}]))
    session(question="said before")
    evaluate(session, QUESTIONS)
    assert all("grain" in prompt.text and len(prompt.messages) == 3 for prompt in stub.prompts[1:])
    stub.prompts.clear()
    with session.use_state(bound):
        session(question="said before")
        evaluate(session, QUESTIONS, num_threads=2)
    assert all("maize" in prompt.text and len(prompt.messages) == 3 for prompt in stub.prompts[1:])
    assert len(bound) == 1


def test_examples_bring_their_own_history(stub: StubModel) -> None:
    session = sessionify(dspy.Predict("question -> answer"))
    session(question="I am Max")
    session(question="who am I?")
    examples = session.to_examples()
    stub.prompts.clear()
    session.reset()
    evaluate(session, examples, num_threads=2)
    lengths = {prompt.inputs["question"]: len(prompt.messages) for prompt in stub.prompts}
    assert lengths == {"I am Max": 1, "who am I?": 3}
    assert not len(session)


def test_a_state_that_the_program_itself_binds_is_its_own(stub: StubModel) -> None:
    class Interview(Asking):
        def forward(self, question: str) -> Any:
            with self.chat.use_state(SessionState()) as state:
                self.chat.add_turn({"question": "my own past"}, {"answer": "yes"})
                result = self.chat(question=question)
                assert len(state) == 2
            return result

    evaluate(Interview(), QUESTIONS)
    assert all("my own past" in prompt.messages[0]["content"] for prompt in stub.prompts)
    assert {len(prompt.messages) for prompt in stub.prompts} == {3}


def test_an_evaluated_session_may_call_itself_under_a_lock(stub: StubModel) -> None:
    class Selfish(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.answer = dspy.Predict("question -> answer")

        def forward(self, question: str) -> Any:
            if question.startswith("q"):
                session(question=f"nested {question}")
            return self.answer(question=question)

    session = sessionify(Selfish(), lock="thread")
    evaluate(session, QUESTIONS, num_threads=2)
    assert not len(session)


def test_an_ensemble_is_for_use_and_remembers(stub: StubModel) -> None:
    sessions = [sessionify(dspy.Predict("question -> answer")) for _ in range(2)]
    ensemble = dspy.Ensemble().compile(sessions)
    ensemble(question="one")
    ensemble(question="two")
    assert [len(session) for session in sessions] == [2, 2]
