"""Every module that DSPy ships, and programs made of them: the second turn sees the first, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import dspy
import pytest

from dspy_session import Session, sessionify
from tests.session.dspy.interpreter import InProcess
from tests.stub_lm import Prompt, StubModel


def lookup(word: str) -> str:
    """Look a word up."""
    return f"{word} is a word"


def short(args: dict[str, Any], prediction: dspy.Prediction) -> float:
    return 0.0  # never good enough, so that every attempt is made


class Lists(dspy.Module):
    """Predictors in lists, tuples and dicts, and one that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = [dspy.Predict("question -> note"), (dspy.ChainOfThought("note -> note2"),)]
        self.named = {"a": {"b": dspy.Predict("note2 -> note3")}}
        self.frozen = dspy.Predict("note3 -> answer")
        self.frozen._compiled = True  # noqa: SLF001  # as an optimizer leaves it

    def forward(self, question: str) -> Any:
        note = self.steps[0](question=question).note
        note2 = self.steps[1][0](note=note).note2
        return self.frozen(note3=self.named["a"]["b"](note2=note2).note3)

    async def aforward(self, question: str) -> Any:
        note = (await self.steps[0].acall(question=question)).note
        note2 = (await self.steps[1][0].acall(note=note)).note2
        note3 = (await self.named["a"]["b"].acall(note2=note2)).note3
        return await self.frozen.acall(note3=note3)


class Parallel(dspy.Module):
    """Asks itself twice at once."""

    def __init__(self) -> None:
        super().__init__()
        self.worker = dspy.Predict("question -> note")
        self.answer = dspy.Predict("question, notes -> answer")

    def forward(self, question: str) -> Any:
        pairs = [(self.worker, dspy.Example(question=f"{question} {n}").with_inputs("question")) for n in "xy"]
        notes = dspy.Parallel(num_threads=2, disable_progress_bar=True)(pairs)
        return self.answer(question=question, notes=" ".join(note.note for note in notes))


class Gathering(dspy.Module):
    """The same with tasks; it has no ``forward``."""

    def __init__(self) -> None:
        super().__init__()
        self.worker = dspy.Predict("question -> note")
        self.answer = dspy.Predict("question, notes -> answer")

    async def aforward(self, question: str) -> Any:
        notes = await asyncio.gather(*(self.worker.acall(question=f"{question} {n}") for n in "xy"))
        return await self.answer.acall(question=question, notes=" ".join(note.note for note in notes))


class Asyncified(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.worker = dspy.Predict("question -> answer")

    async def aforward(self, question: str) -> Any:
        return await dspy.asyncify(self.worker)(question=question)


class Comparing(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attempt = dspy.ChainOfThought("question -> answer")
        self.compare = dspy.MultiChainComparison("question -> answer", M=2)

    def forward(self, question: str) -> Any:
        return self.compare([self.attempt(question=question) for _ in range(2)], question=question)


def reply(prompt: Prompt) -> dict[str, Any]:
    """What keeps each module going, whatever it asks."""
    code = "```python\nSUBMIT(answer='coded')\n```"
    return {
        "next_tool_name": "finish",
        "next_tool_args": {},
        "tool_calls": {"tool_calls": [{"name": "submit", "args": {"answer": "submitted"}}]},
        "code": code,
        "generated_code": code,
        "finished": True,
        "advice": {"predict": "be brief", "self": "be brief"},
    }


MODULES: dict[str, Callable[[], dspy.Module]] = {
    "Predict": lambda: dspy.Predict("question -> answer"),
    "ChainOfThought": lambda: dspy.ChainOfThought("question -> answer"),
    "ReAct": lambda: dspy.ReAct("question -> answer", tools=[lookup]),
    "ReActV2": lambda: dspy.ReActV2("question -> answer", tools=[lookup]),
    "RLM": lambda: dspy.RLM("question -> answer", interpreter_factory=InProcess),
    "CodeAct": lambda: dspy.CodeAct("question -> answer", tools=[lookup], interpreter_factory=InProcess),
    "ProgramOfThought": lambda: dspy.ProgramOfThought("question -> answer", interpreter_factory=InProcess),
    "BestOfN": lambda: dspy.BestOfN(dspy.ChainOfThought("question -> answer"), N=2, reward_fn=short, threshold=1.0),
    "Refine": lambda: dspy.Refine(dspy.ChainOfThought("question -> answer"), N=2, reward_fn=short, threshold=1.0),
    "MultiChainComparison": Comparing,
    "Parallel": Parallel,
    "gather": Gathering,
    "asyncify": Asyncified,
    "lists and dicts": Lists,
}

ASYNC_ONLY = {"gather", "asyncify"}
WAYS = [(name, way) for name in MODULES for way in ("sync", "async") if way == "async" or name not in ASYNC_ONLY]


async def ask(session: Session, question: str, way: str) -> Any:
    if way == "async":
        return await session.acall(question=question)
    return session(question=question)


@pytest.mark.unwatched
@pytest.mark.parametrize(("name", "way"), WAYS)
async def test_the_second_turn_sees_the_first(name: str, way: str) -> None:
    stub = StubModel(reply)
    with dspy.context(lm=stub.lm, trace=[]):
        session = sessionify(MODULES[name]())
        first = await ask(session, "I am Max", way)
        before = len(stub.prompts)
        assert not any("Max" in prompt.text and "conversation" in prompt.text for prompt in stub.prompts)
        await ask(session, "Who am I?", way)

    prompts = [prompt for prompt in stub.prompts[before:] if "OfferFeedback" not in prompt.system]
    prompts = [prompt for prompt in prompts if "assign blame" not in prompt.system]
    assert prompts
    for prompt in prompts:
        assert "I am Max" in prompt.text
        assert first.answer in prompt.text
        assert not any("None" in message["content"] for message in prompt.messages if message["role"] == "assistant")
        asked = prompt.text.index("I am Max")
        assert asked < prompt.text.index(first.answer, asked)
    assert [turn.inputs["question"] for turn in session.turns] == ["I am Max", "Who am I?"]
    assert session.turns[0].outputs["answer"] == first.answer
    assert not any("history" in turn.outputs for turn in session.turns)


@pytest.mark.parametrize("name", ["ProgramOfThought", "CodeAct", "BestOfN", "Refine", "MultiChainComparison"])
async def test_modules_that_cannot_await_run_in_a_thread(name: str) -> None:
    """The loop goes on meanwhile: the model's answer waits for something that only the loop can do."""
    loop, beats = asyncio.get_running_loop(), []

    def beating(prompt: Prompt) -> dict[str, Any]:
        asyncio.run_coroutine_threadsafe(_beat(beats), loop).result(timeout=10)
        return reply(prompt)

    stub = StubModel(beating)
    with dspy.context(lm=stub.lm, trace=[]):
        session = sessionify(MODULES[name]())
        async with asyncio.timeout(20):
            await session.acall(question="?")
    assert len(beats) == len(stub.prompts) > 0


async def _beat(beats: list[int]) -> None:
    beats.append(1)


def test_attempts_are_not_recorded_each(stub: StubModel) -> None:
    inner = sessionify(dspy.Predict("question -> answer"))
    for module in (dspy.BestOfN, dspy.Refine):
        best = module(inner, N=3, reward_fn=short, threshold=2.0)
        best(question="?")
        assert not len(inner)
        outer = sessionify(module(dspy.Predict("question -> answer"), N=3, reward_fn=short, threshold=2.0))
        outer(question="?")
        assert len(outer) == 1


def test_code_runs_for_real() -> None:
    """DSPy's own interpreter, a process of its own; its sandbox needs a program that is not everywhere."""
    stub = StubModel(lambda prompt: {"code": "```python\nSUBMIT(answer=str(6 * 7))\n```"})
    session = sessionify(dspy.RLM("question -> answer", interpreter_factory=dspy.LocalInterpreter))
    with dspy.context(lm=stub.lm):
        assert session(question="I am Max").answer == "42"
        assert session(question="Who am I?").answer == "42"
    assert "I am Max" in stub.prompts[-1].text


def test_interpreters_given_in_the_call_reach_an_rlm() -> None:
    stub = StubModel(reply)
    with dspy.context(lm=stub.lm):
        session = sessionify(dspy.RLM("question -> answer"))
        assert session(question="I am Max", interpreter_factory=InProcess).answer == "coded"
        assert session(question="Who am I?", interpreter_factory=InProcess).answer == "coded"
    assert "I am Max" in stub.prompts[-1].text


def test_a_subclass_of_an_rlm_works(stub: StubModel) -> None:
    class Mine(dspy.RLM):
        def forward(self, **inputs: Any) -> Any:
            return super().forward(**inputs)

    with dspy.context(lm=StubModel(reply).lm):
        session = sessionify(Mine("question -> answer", interpreter_factory=InProcess))
        session(question="one")
        assert session(question="two").answer == "coded"
