"""Program state: compiled programs can be wrapped, and saved state moves both ways without shifting a field."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_session import Session, sessionify, with_memory
from tests.stub_lm import StubModel


class Answer(dspy.Signature):
    """Answer with care."""

    context: str = dspy.InputField(desc="CONTEXT-DESC")
    question: str = dspy.InputField(desc="QUESTION-DESC")
    answer: str = dspy.OutputField(desc="ANSWER-DESC")
    grade: int = dspy.OutputField(desc="GRADE-DESC")


class Declared(dspy.Signature):
    """Talk."""

    past: dspy.History = dspy.InputField(desc="PAST-DESC")
    question: str = dspy.InputField(desc="QUESTION-DESC")
    answer: str = dspy.OutputField(desc="ANSWER-DESC")


class Pipeline(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = dspy.Predict(Answer)
        self.rest = [dspy.ChainOfThought(Answer), dspy.Predict("answer -> summary")]
        self.by_name = {"judge": dspy.Predict("summary -> verdict")}

    def forward(self, question: str) -> Any:
        answer = self.first(context="c", question=question).answer
        answer = self.rest[0](context=answer, question=question).answer
        return self.by_name["judge"](summary=self.rest[1](answer=answer).summary)


class Nested(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pipeline = Pipeline()
        self.talk = dspy.Predict(Declared)

    def forward(self, question: str) -> Any:
        return self.talk(question=self.pipeline(question=question).verdict, past=dspy.History(messages=[]))


PROGRAMS: dict[str, Callable[[], dspy.Module]] = {
    "predict": lambda: dspy.Predict(Answer),
    "declared": lambda: dspy.Predict(Declared),
    "chain of thought": lambda: dspy.ChainOfThought(Answer),
    "react": lambda: dspy.ReAct(Answer, tools=[]),
    "react v2": lambda: dspy.ReActV2("question -> answer", tools=[]),
    "composed": Pipeline,
    "nested": Nested,
}


def taught(program: dspy.Module) -> dspy.Module:
    """The program with something of its own in every predictor."""
    for name, predictor in program.named_predictors():
        fields = predictor.signature.fields
        predictor.signature = predictor.signature.with_instructions(f"RULE of {name}")
        for field in fields:
            predictor.signature = predictor.signature.with_updated_fields(field, desc=f"{name}/{field}")
        predictor.demos = [dspy.Example(**{field: f"demo {field}" for field in fields if field != "history"})]
    return program


def content(program: dspy.Module) -> dict[str, Any]:
    """What a program's predictors hold, without what a session lists."""
    found = {}
    for name, predictor in program.named_predictors():
        signature = vars(predictor)["signature"]
        descriptions = {field: info.json_schema_extra["desc"] for field, info in signature.fields.items()}
        found[name] = (signature.instructions, descriptions, [dict(demo) for demo in predictor.demos])
    return found


@pytest.mark.unwatched
@pytest.mark.parametrize("kind", PROGRAMS)
def test_state_moves_both_ways_without_shifting_a_field(stub: StubModel, kind: str) -> None:
    bare = taught(PROGRAMS[kind]())
    state = json.loads(json.dumps(bare.dump_state()))

    session = sessionify(PROGRAMS[kind]())
    session.load_state(state)
    assert content(session) == content(bare)
    assert json.loads(json.dumps(session.dump_state())) == state

    back = PROGRAMS[kind]()
    back.load_state(json.loads(json.dumps(session.dump_state())))
    assert content(back) == content(bare)

    taught_session = taught(sessionify(PROGRAMS[kind]()))
    assert content(taught_session) == content(bare)
    assert json.loads(json.dumps(taught_session.dump_state())) == state
    assert not any("module" in key for key in taught_session.dump_state())


@pytest.mark.unwatched
@pytest.mark.parametrize("kind", PROGRAMS)
def test_files_of_dspys_own_kind_move_both_ways(stub: StubModel, kind: str, tmp_path: Path) -> None:
    bare = taught(PROGRAMS[kind]())
    bare.save(tmp_path / "bare.json")
    session = sessionify(PROGRAMS[kind]())
    session.load(tmp_path / "bare.json")
    session.save(tmp_path / "session.json", save_program=False)
    back = PROGRAMS[kind]()
    back.load(tmp_path / "session.json")
    assert content(back) == content(session) == content(bare)


def test_state_saved_with_a_listed_history_field_is_read(stub: StubModel) -> None:
    """As dspy-session 0.1.2 wrote it, where the history field was in the signature itself."""
    listed = dspy.Predict(Answer.append("history", dspy.InputField(), type_=dspy.History))
    state = taught(listed).dump_state()
    session = sessionify(dspy.Predict(Answer))
    session.load_state(state)
    [(instructions, descriptions, _)] = content(session).values()
    assert instructions == "RULE of self"
    assert descriptions == {field: f"self/{field}" for field in ("context", "question", "answer", "grade")}


def test_a_loaded_lm_is_used(stub: StubModel) -> None:
    session = sessionify(Pipeline())
    session.set_lm(dspy.LM("stub/one", temperature=0.5))
    assert session.get_lm().model == "stub/one"
    other = Pipeline()
    other.load_state(session.dump_state())
    assert {predictor.lm.model for predictor in other.predictors()} == {"stub/one"}


def test_set_lm_and_get_lm(stub: StubModel) -> None:
    own = StubModel()
    session = sessionify(Nested())
    assert session.get_lm() is None
    session.set_lm(own.lm)
    assert session.get_lm() is own.lm
    session(question="?")
    assert len(own.prompts) == 5
    assert not stub.prompts


def test_map_named_predictors_replaces_what_is_called(stub: StubModel) -> None:
    def renewed(predictor: dspy.Predict) -> dspy.Predict:
        return dspy.Predict(predictor.signature.with_instructions("RENEWED"))

    for program in (lambda: dspy.Predict("question -> answer"), Pipeline):
        session = sessionify(program())
        session(question="before")
        assert session.map_named_predictors(renewed) is session
        stub.prompts.clear()
        session(question="after")
        assert all("RENEWED" in prompt.system for prompt in stub.prompts)
        assert "before" in stub.prompts[0].text
        assert len(session) == 2
        assert all("history" not in vars(predictor)["signature"].fields for predictor in session.predictors())


# --- compiled programs ----------------------------------------------------------------------------------------------


def compiled(program: dspy.Module) -> dspy.Module:
    trainset = [dspy.Example(question="LESSON", answer="yes", context="c", grade=1).with_inputs("question")]
    optimizer = dspy.BootstrapFewShot(max_bootstrapped_demos=0, max_labeled_demos=1)
    result: dspy.Module = optimizer.compile(program, trainset=trainset)
    return result


@pytest.mark.parametrize("wrap", [sessionify, with_memory])
@pytest.mark.parametrize("kind", ["predict", "chain of thought", "react", "composed", "nested"])
def test_a_compiled_program_can_be_wrapped(stub: StubModel, kind: str, wrap: Callable[..., Session]) -> None:
    bare = compiled(PROGRAMS[kind]())
    session = wrap(bare)
    names = [name for name, _ in bare.named_predictors()]
    assert names
    assert [name for name, _ in session.named_predictors()] == names
    assert session.dump_state() == bare.dump_state()
    session.set_lm(stub.lm)
    inputs = {"question": "I am Max", **({"context": "c"} if kind in ("predict", "chain of thought", "react") else {})}
    session(**inputs)
    session(**{**inputs, "question": "who am I?"})
    assert "LESSON" in stub.prompts[-1].text or kind in ("composed", "nested")
    assert any("I am Max" in prompt.text and "who am I?" in prompt.text for prompt in stub.prompts)
    assert len(session) == 2


def test_frozen_submodules_stay_hidden_from_optimizers_and_still_get_history(stub: StubModel) -> None:
    class Half(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen = compiled(dspy.ChainOfThought("question -> answer"))
            self.free = dspy.Predict("draft -> answer")

        def forward(self, question: str) -> Any:
            return self.free(draft=self.frozen(question=question).answer)

    session = sessionify(Half())
    assert [name for name, _ in session.named_predictors()] == ["free"]
    assert list(session.dump_state()) == ["free"]
    session(question="I am Max")
    session(question="who am I?")
    frozen, free = stub.prompts[-2:]
    assert "I am Max" in frozen.text
    assert "LESSON" in frozen.text
    assert "I am Max" in free.text


def test_a_compiled_session_goes_on_as_the_sessions_module(stub: StubModel) -> None:
    session = sessionify(dspy.Predict("question -> answer"))
    session(question="I am Max")
    trainset = [dspy.Example(question="LESSON", answer="yes").with_inputs("question")]
    optimized = dspy.BootstrapFewShot(max_bootstrapped_demos=0, max_labeled_demos=1).compile(session, trainset=trainset)
    assert not len(optimized)
    assert len(session) == 1
    session.update_module(optimized.module)
    session(question="who am I?")
    assert "LESSON" in stub.prompts[-1].text
    assert "I am Max" in stub.prompts[-1].text
    assert len(session) == 2
