"""What a session finds out about the program that it wraps. Annotations are real objects here, not strings."""

from typing import Annotated, Any, Optional, Union

import dspy
import pytest

from dspy_session import sessionify
from dspy_session.signatures import is_history
from tests.session.programs import Team
from tests.stub_lm import StubModel

SEED = dspy.History(messages=[{"question": "s1", "answer": "a1"}, {"question": "s2", "answer": "a2"}])


class Special(dspy.History):
    pass


class REPLHistory:
    pass


@pytest.mark.parametrize(
    ("annotation", "loosely", "strictly"),
    [
        (dspy.History, True, True),
        (dspy.History | None, True, False),
        (Optional[dspy.History], True, False),  # noqa: UP045  # as people write it
        (Union[str, dspy.History], True, False),  # noqa: UP007  # as people write it
        (Annotated[dspy.History, "what was said"], True, False),
        (Annotated[dspy.History | None, "what was said"], True, False),
        (Special, True, False),
        ("History", True, False),
        ("dspy.History | None", True, False),
        ("Optional[History]", True, False),
        ("REPLHistory", False, False),
        ("HistoryLog", False, False),
        ("list[REPLHistory]", False, False),
        (REPLHistory, False, False),
        (list[dspy.History], False, False),
        (str, False, False),
        (None, False, False),
        (Any, False, False),
    ],
)
def test_what_counts_as_a_history(annotation: Any, loosely: bool, strictly: bool) -> None:
    assert is_history(annotation) is loosely
    assert is_history(annotation, strict=True) is strictly


class Named(dspy.Module):
    def forward(self, question: str, past):
        return len(past.messages)


class Keywords(dspy.Module):
    def forward(self, question: str, **more: Any) -> int:
        return len(more["past"].messages)


class Exactly(dspy.Module):
    def forward(self, question: str, before: dspy.History) -> int:
        return len(before.messages)


class Quoted(dspy.Module):
    def forward(self, question: str, before: "dspy.History") -> int:  # the point of it
        return len(before.messages)


class Unresolved(dspy.Module):
    def forward(self, question: str, before: "History | None", tone: "Tone" = "") -> int:  # noqa: F821  # as under TYPE_CHECKING
        return len(before.messages)


class Optionally(dspy.Module):
    def forward(self, question: str, before: dspy.History | None = None) -> int:
        return -1 if before is None else len(before.messages)


class Described(dspy.Module):
    def forward(self, question: str, before: Annotated[dspy.History, "what was said"]) -> int:
        return len(before.messages)


class Replaying(dspy.Module):
    def forward(self, question: str, log: REPLHistory | None = None) -> int:
        return -1 if log is None else 0


@pytest.mark.parametrize("program", [Named, Keywords, Exactly, Quoted, Unresolved, Optionally, Described])
def test_a_program_takes_the_history_under_the_sessions_name_by_annotation_or_as_a_keyword(
    program: type[dspy.Module],
) -> None:
    session = sessionify(program(), history_field="past", initial_history=SEED)
    assert session(question="?") == 2
    assert session.turns[0].inputs == {"question": "?"}


def test_a_name_that_only_contains_history_is_no_history() -> None:
    assert sessionify(Replaying(), initial_history=SEED)(question="?") == -1


@pytest.mark.parametrize(("program", "given"), [(Optionally, -1), (Exactly, 2), (Quoted, 2)])
def test_strictly_only_the_exact_annotation_counts(program: type[dspy.Module], given: int) -> None:
    session = sessionify(program(), strict_history_annotation=True, initial_history=SEED)
    assert session(question="?") == given


def test_a_program_without_a_place_for_the_history_works_through_its_predictors(stub: StubModel) -> None:
    session = sessionify(Team())
    session(question="My name is Max")
    session(question="What is my name?")
    assert len(session.turns[1].history_snapshot.messages) == 1
    assert "My name is Max" in stub.prompts[2].text


def test_a_session_around_a_session_brings_it_the_history(stub: StubModel) -> None:
    inner = sessionify(dspy.Predict("question -> answer"))
    outer = sessionify(inner, copy_mode="none")
    outer(question="one")
    assert outer(question="two").answer == "two (after 1 messages)"
    assert (len(outer), len(inner)) == (2, 0)


def test_a_session_in_a_program_has_a_memory_of_its_own(stub: StubModel) -> None:
    class Twice(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = sessionify(dspy.Predict("question -> answer"))

        def forward(self, question: str) -> str:
            self.inner(question=f"{question}, first")
            return self.inner(question=f"{question}, second").answer

    outer = sessionify(Twice())
    assert outer(question="one") == "one, second (after 1 messages)"
    assert outer(question="two") == "two, second (after 3 messages)"
    assert (len(outer), len(outer.module.inner)) == (2, 4)


class Declaring(dspy.Signature):
    """Answer."""

    question: str = dspy.InputField()
    past: dspy.History = dspy.InputField()
    answer: str = dspy.OutputField()


class DeclaringLoosely(dspy.Signature):
    """Answer."""

    question: str = dspy.InputField()
    before: dspy.History | None = dspy.InputField()
    answer: str = dspy.OutputField()


@pytest.mark.parametrize(("signature", "name"), [(Declaring, "past"), (DeclaringLoosely, "before")])
def test_a_predictor_is_given_the_history_under_the_name_that_it_declares(
    stub: StubModel, signature: type[dspy.Signature], name: str
) -> None:
    class Program(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.answer = dspy.Predict(signature)

        def forward(self, question: str) -> Any:
            return self.answer(question=question)

    session = sessionify(Program())
    session(question="one")
    assert session(question="two").answer == "two (after 1 messages)"
    assert session.history_field == "history"
    assert list(session.module.answer.signature.input_fields) == ["question", name]
    root = sessionify(dspy.Predict(signature))
    assert root.history_field == name
    root(question="one")
    assert root(question="two").answer == "two (after 1 messages)"
    assert root.turns[1].inputs == {"question": "two"}


def test_a_warning_names_the_predictor_that_keeps_its_own_name(
    stub: StubModel, caplog: pytest.LogCaptureFixture
) -> None:
    class Program(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.answer = dspy.Predict(Declaring)

        def forward(self, question: str) -> Any:
            return self.answer(question=question)

    session = sessionify(Program(), history_field="talk", initial_history=SEED)
    assert "answer has the history field 'past' already, which is used instead of 'talk'" in caplog.text
    assert session.history_field == "talk"
    assert session(question="?").answer == "? (after 2 messages)"
