"""A session is a module among modules, and its predictors are called as DSPy calls them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any

import dspy
import pytest
from dspy.utils.callback import BaseCallback

from dspy_session import Session, get_current_history, sessionify
from tests.stub_lm import StubModel


class Watching(BaseCallback):
    """Notes the modules that begin and end, and which one called."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.ended: list[str] = []
        self.open: dict[str, Any] = {}
        self.callers: list[list[Any]] = []

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.begun.append(instance)
        self.open[call_id] = instance
        self.callers.append(list(dspy.settings.caller_modules or []))

    def on_module_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        self.ended.append(type(self.open.pop(call_id)).__name__)


class Composed(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.think = dspy.ChainOfThought("question -> answer")

    def forward(self, question: str) -> Any:
        return self.think(question=question)

    async def aforward(self, question: str) -> Any:
        return await self.think.acall(question=question)


WAYS: dict[str, Callable[..., Any]] = {
    "call": lambda session, **inputs: session(**inputs),
    "forward": lambda session, **inputs: session.forward(**inputs),
    "acall": lambda session, **inputs: session.acall(**inputs),
    "aforward": lambda session, **inputs: session.aforward(**inputs),
}


@pytest.mark.parametrize("way", WAYS)
async def test_callbacks_fire_once_for_each_module_and_callers_contain_the_session(stub: StubModel, way: str) -> None:
    own, everywhere = Watching(), Watching()
    session = sessionify(Composed())
    session.callbacks.append(own)
    for number in range(2):
        with dspy.context(callbacks=[everywhere]):
            result = WAYS[way](session, question=f"q{number}")
            if way.startswith("a"):
                await result
    think = session.module.think
    assert everywhere.begun == [session, session.module, think, think.predict] * 2
    assert everywhere.ended == ["Predict", "ChainOfThought", "Composed", "Session"] * 2
    assert own.begun == [session] * 2
    assert everywhere.callers[3] == [session, session.module, think]
    assert len(session) == 2


async def test_usage_is_counted_once(stub: StubModel) -> None:
    bare, session = Composed(), sessionify(Composed())
    with dspy.context(track_usage=True):
        expected = bare(question="?").get_lm_usage()
        assert session(question="?").get_lm_usage() == expected
        session.reset()
        assert (await session.acall(question="?")).get_lm_usage() == expected
    assert "lm_usage" not in str(session.turns[0].outputs)


# --- a forward of one's own -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("copy_mode", ["none", "deep", "shallow"])
def test_a_forward_on_the_instance_is_called_with_the_history(copy_mode: str) -> None:
    seen: list[dict[str, Any]] = []

    def forward(**kwargs: Any) -> dspy.Prediction:
        seen.append(kwargs)
        return dspy.Prediction(answer=f"re {kwargs['question']}")

    predictor = dspy.Predict("question -> answer")
    predictor.forward = forward
    session = sessionify(predictor, copy_mode=copy_mode, history_field="talk")
    session(question="one")
    session(question="two")
    assert [sorted(kwargs) for kwargs in seen] == [["question", "talk"]] * 2
    assert isinstance(seen[1]["talk"], dspy.History)
    assert seen[1]["talk"].messages == [{"question": "one", "answer": "re one"}]
    assert "talk" in session.predictors()[0].signature.input_fields
    predictor(question="outside")
    assert list(seen[-1]) == ["question"]


def test_a_forward_on_the_instance_that_goes_on_to_the_original(stub: StubModel) -> None:
    for wrap in (lambda predictor: predictor, Asking):
        predictor = dspy.Predict("question -> answer")
        original = predictor.forward

        def shouting(original: Any = original, **kwargs: Any) -> Any:
            return original(**{**kwargs, "question": kwargs["question"].upper()})

        predictor.forward = shouting
        session = sessionify(wrap(predictor), copy_mode="none")
        session(question="one")
        session(question="two")
        assert "TWO" in stub.prompts[-1].last
        assert "one" in stub.prompts[-1].text


class Asking(dspy.Module):
    """Answers with a plain string, so that its predictor's fields are not the conversation's."""

    def __init__(self, predictor: dspy.Module) -> None:
        super().__init__()
        self.ask = predictor

    def forward(self, question: str) -> str:
        return f"FINAL {self.ask(question=question).answer}"


class Named(dspy.Predict):
    """Names all that it takes."""

    def forward(self, question: str) -> Any:
        return super().forward(question=question.upper())

    async def aforward(self, question: str) -> Any:
        return await super().aforward(question=question.upper())


class Retrying(dspy.Predict):
    """Passes on whatever it is given, and notes it."""

    def __init__(self, signature: str) -> None:
        super().__init__(signature)
        self.given: list[list[str]] = []

    def forward(self, **kwargs: Any) -> Any:
        self.given.append(sorted(kwargs))
        return super().forward(**kwargs)


@pytest.mark.parametrize("wrap", [lambda predictor: predictor, Asking], ids=["root", "inside"])
async def test_a_subclass_of_predict_keeps_its_own_forward(
    stub: StubModel, wrap: Callable[[dspy.Module], dspy.Module]
) -> None:
    named = sessionify(wrap(Named("question -> answer")))
    named(question="one")
    await named.acall(question="two")
    assert "TWO" in stub.prompts[-1].last
    assert "ONE" in stub.prompts[-1].text
    retrying = sessionify(wrap(Retrying("question -> answer")))
    retrying(question="one")
    retrying(question="two")
    [predictor] = retrying.predictors()
    assert predictor.given == [["history", "question"]] * 2
    assert "one" in stub.prompts[-1].text
    assert type(predictor).__name__ == "Retrying"


def test_a_signature_given_in_the_call_counts(stub: StubModel) -> None:
    class Switching(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = dspy.Predict("question -> answer")

        def forward(self, question: str) -> Any:
            signature = self.ask.signature.with_instructions("OVERRIDDEN").append("mood", dspy.OutputField())
            return self.ask(question=question, signature=signature, demos=[{"question": "DEMO", "answer": "d"}])

    session = sessionify(Switching())
    session(question="one")
    result = session(question="two")
    assert "mood" in result
    prompt = stub.prompts[-1]
    assert "OVERRIDDEN" in prompt.system
    assert "DEMO" in prompt.text
    assert [message["role"] for message in prompt.messages][-3:] == ["user", "assistant", "user"]
    assert "one" in prompt.text


# --- history fields -------------------------------------------------------------------------------------------------


class Optional(dspy.Signature):
    """Talk."""

    question: str = dspy.InputField()
    talk: dspy.History | None = dspy.InputField(default=None)
    answer: str = dspy.OutputField()


class Marked(dspy.Signature):
    """Talk."""

    talk: Annotated[dspy.History, "what was said"] = dspy.InputField()
    question: str = dspy.InputField()
    answer: str = dspy.OutputField()


class Exact(dspy.Signature):
    """Talk."""

    talk: dspy.History = dspy.InputField()
    question: str = dspy.InputField()
    answer: str = dspy.OutputField()


class Around(dspy.Module):
    def __init__(self, predictor: dspy.Module) -> None:
        super().__init__()
        self.ask = predictor

    def forward(self, question: str) -> Any:
        return self.ask(question=question)


@pytest.mark.parametrize("wrap", [lambda predictor: predictor, Around], ids=["root", "inside"])
@pytest.mark.parametrize("signature", [Optional, Marked, Exact, "talk: dspy.History, question -> answer"])
def test_a_history_field_that_is_there_is_used(stub: StubModel, signature: Any, wrap: Any) -> None:
    session = sessionify(wrap(dspy.Predict(signature)))
    session(question="one")
    session(question="two")
    prompt = stub.prompts[-1]
    assert [message["role"] for message in prompt.messages] == ["user", "assistant", "user"]
    assert list(prompt.inputs) == ["question"]
    [predictor] = session.predictors()
    assert "talk" in predictor.signature.input_fields
    assert "history" not in predictor.signature.input_fields
    assert session.history_field == ("talk" if isinstance(session.module, dspy.Predict) else "history")


@pytest.mark.parametrize(("asked", "warned"), [("history", False), ("talk", False), ("memory", True)])
def test_a_warning_says_so_when_another_name_was_asked_for(
    stub: StubModel, asked: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="dspy_session"):
        session = sessionify(dspy.Predict(Exact), history_field=asked)
    assert session.history_field == "talk"
    assert [("'talk'" in record.message and "'memory'" in record.message) for record in caplog.records] == (
        [True] if warned else []
    )


def test_strictly_an_optional_history_is_none(stub: StubModel) -> None:
    session = sessionify(dspy.Predict(Optional), strict_history_annotation=True)
    assert session.history_field == "history"
    session(question="one")
    session(question="two")
    assert "history" in session.predictors()[0].signature.input_fields
    assert stub.prompts[-1].inputs == {"question": "two", "talk": "None"}


def test_predictors_of_one_program_may_have_fields_of_different_names(stub: StubModel) -> None:
    class Mixed(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.plain = dspy.Predict("question -> answer")
            self.declared = dspy.Predict(Exact)
            self.taken = dspy.Predict("history: str, question -> answer")

        def forward(self, question: str) -> Any:
            self.plain(question=question)
            self.declared(question=question)
            return self.taken(history="a book", question=question)

    session = sessionify(Mixed())
    session(question="one")
    session(question="two")
    assert [len(prompt.messages) for prompt in stub.prompts[-3:]] == [3, 3, 3]
    assert stub.prompts[-1].inputs["history"] == "a book"


# --- the program's own place for the history ------------------------------------------------------------------------


class Keywords(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.given: list[dict[str, Any]] = []
        self.ask = dspy.Predict("question -> answer")

    def forward(self, **kwargs: Any) -> Any:
        self.given.append(kwargs)
        return self.ask(**kwargs)


class Parameter(Keywords):
    def forward(self, question: str, history: dspy.History | None = None) -> Any:  # type: ignore[override]
        self.given.append({"question": question, "history": history})
        return self.ask(question=question)


@pytest.mark.parametrize("program", [Keywords, Parameter])
def test_a_program_that_takes_the_history_gets_it(stub: StubModel, program: type[Keywords]) -> None:
    session = sessionify(program(), copy_mode="none")
    for number in range(3):
        session(question=f"q{number}", other=1) if program is Keywords else session(question=f"q{number}")
    given = session.module.given
    assert [[m["question"] for m in kwargs["history"].messages] for kwargs in given] == [[], ["q0"], ["q0", "q1"]]
    assert [len(prompt.messages) for prompt in stub.prompts] == ([1, 1, 1] if program is Keywords else [1, 3, 5])
    assert ("q1" in stub.prompts[-1].text) is True
    assert all("history" not in turn.inputs for turn in session.turns)


def test_what_a_program_asks_about_its_call_it_can_ask_in_threads_and_tools(stub: StubModel) -> None:
    heard: list[int] = []

    def listen() -> str:
        history = get_current_history()
        assert history is not None
        heard.append(len(history.messages))
        return "ok"

    class Listening(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tool = dspy.Tool(listen)
            self.ask = dspy.Predict("question -> answer")

        def forward(self, question: str) -> Any:
            self.tool()
            dspy.Parallel(num_threads=2, disable_progress_bar=True)([(lambda _: listen(), (1,)) for _ in range(2)])
            return self.ask(question=question)

    session = sessionify(Listening())
    session(question="one")
    session(question="two")
    assert heard == [0, 0, 0, 1, 1, 1]
    assert get_current_history() is None


def test_a_session_is_a_module_like_any_other(stub: StubModel) -> None:
    session = sessionify(Composed())
    assert isinstance(session, dspy.Module)
    assert repr(session) == "Session(Composed, turns=0, history_field='history')"
    results = session.batch([dspy.Example(question=f"q{n}").with_inputs("question") for n in range(3)], num_threads=1)
    assert [result.answer.split()[0] for result in results] == ["q0", "q1", "q2"]
    assert len(session) == 3
    session.inspect_history()
    assert session.history, "DSPy logs the session's calls too"
    assert isinstance(Session(session), Session)
