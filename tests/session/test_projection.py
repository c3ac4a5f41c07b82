"""What a program can ask about the call that it is part of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dspy
import pytest

from dspy_session import (
    SessionState,
    get_child_l1_ledger,
    get_current_history,
    get_execution_trace,
    get_node_memory,
    get_outer_history,
    sessionify,
    with_memory,
)
from tests.session.programs import Scripted, Team
from tests.stub_lm import Prompt, StubModel


def everything(child: str = "draft") -> tuple[Any, ...]:
    """The answers of all five, here and now."""
    current, outer = get_current_history(), get_outer_history()
    return (
        None if current is None else current.messages,
        None if outer is None else outer.messages,
        get_node_memory(),
        get_child_l1_ledger(child),
        get_execution_trace(),
    )


OUTSIDE = (None, None, "", "", "")


def test_outside_a_call_there_is_nothing(stub: StubModel) -> None:
    app = with_memory(Team())
    app(question="a")
    assert everything() == OUTSIDE
    with app.use_state(app.new_state(l2_memory="m")):
        assert everything() == OUTSIDE


class Asking(Team):
    """A team that asks inside its own ``forward``."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        super().__init__()
        self.ask = ask
        self.heard: Any = None

    def forward(self, question: str) -> dspy.Prediction:
        text = self.draft(question=question).text
        self.heard = self.ask()
        return self.edit(text=text)


def test_in_the_root_the_current_history_is_the_outer_one(stub: StubModel) -> None:
    app = with_memory(Asking(everything))
    with app.use_state(app.new_state(l2_memory="knows Max")) as state:
        app(question="a")
        app(question="b")
    current, outer, memory, ledger, trace = app.module.heard
    assert current == outer == [{"question": "a", "answer": state.turns[0].outputs["answer"]}]
    assert memory == "knows Max"
    assert ledger.splitlines() == [
        "- turn: 0",
        '  inputs: {"question": "a"}',
        '  outputs: {"text": "a (after 0 messages)"}',
        "- turn: 1",
        '  inputs: {"question": "b"}',
        '  outputs: {"text": "b (after 1 messages)"}',
    ]
    assert trace.splitlines() == [
        "root: turns=1 l2_chars=9",
        "draft: turns=2 l2_chars=0",
        "edit: turns=1 l2_chars=0",
        "active_stack=root",
    ]


def test_in_a_child_the_current_history_is_its_own(stub: StubModel) -> None:
    heard: list[Any] = []

    def reply(prompt: Prompt) -> dict[str, Any]:
        heard.append(everything())
        return {"text": "t", "answer": "a"}

    app = with_memory(Team())
    app.set_lm(StubModel(reply).lm)
    state = SessionState(l2_memory="of the root", node_states={"edit": SessionState(l2_memory="of edit")})
    with app.use_state(state):
        app(question="one")
        app(question="two")
    current, outer, memory, ledger, trace = heard[3]
    assert current == [{"text": "t", "answer": "a"}]
    assert outer == [{"question": "one", "answer": "a"}]
    assert memory == "of edit"
    assert ledger.count("- turn:") == 2
    assert trace.endswith("edit: turns=1 l2_chars=7\nactive_stack=root > edit")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("draft", True),
        ("root.draft", True),
        ("inner.edit", True),
        ("root.inner.edit", True),
        ("edit", True),
        ("inner", False),  # two of its predictors
        ("raft", False),
        ("nobody", False),
        ("", False),
        ("root", False),
    ],
)
def test_how_a_child_may_be_named(stub: StubModel, path: str, found: bool) -> None:
    class Two(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.draft = dspy.Predict("question -> text")
            self.inner = Team()
            self.inner.other = dspy.Predict("question -> text")
            self.ledger = ""

        def forward(self, question: str) -> str:
            self.draft(question=question)
            self.inner(question=question)
            self.ledger = get_child_l1_ledger(path)
            return question

    app = with_memory(Two())
    app(question="a")
    assert (app.module.ledger != "") is found


def test_an_ambiguous_ending_names_nobody(stub: StubModel) -> None:
    class Two(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = Team(), Team()

        def forward(self, question: str) -> list[str]:
            self.one(question=question)
            return [get_child_l1_ledger("draft"), get_child_l1_ledger("two.draft"), get_child_l1_ledger("one.draft")]

    assert [bool(ledger) for ledger in with_memory(Two())(question="a")] == [False, False, True]


def test_a_shared_child_sees_the_outer_history(stub: StubModel) -> None:
    heard: list[Any] = []

    def reply(prompt: Prompt) -> dict[str, Any]:
        heard.append(everything())
        return {"text": "t", "answer": "a"}

    app = with_memory(Team(), child_configs={"edit": {"isolation": "shared"}})
    app.set_lm(StubModel(reply).lm)
    with app.use_state(app.new_state(l2_memory="of the root")):
        app(question="one")
        app(question="two")
    current, outer, memory, _, trace = heard[3]
    assert current == outer == [{"question": "one", "answer": "a"}]
    assert memory == "of the root"
    assert trace.endswith("active_stack=root > edit")


def test_all_five_work_in_dspys_threads_and_in_tools(stub: StubModel) -> None:
    class Inside(dspy.Module):
        """Asks when it is called, wherever that is."""

        def forward(self, **_: Any) -> Any:
            return everything()

    class Everywhere(Team):
        def __init__(self) -> None:
            super().__init__()
            self.inside = Inside()
            self.heard: dict[str, Any] = {}
            self.react = dspy.ReAct("question -> answer", tools=[self.look], max_iters=1)

        def look(self) -> str:
            """Look around."""
            self.heard["tool"] = everything()
            return "seen"

        def forward(self, question: str) -> str:
            self.draft(question=question)
            self.heard["here"] = everything()
            pairs = [(self.inside, {"number": number}) for number in range(3)]
            for number, heard in enumerate(dspy.Parallel(num_threads=3, disable_progress_bar=True)(pairs)):
                self.heard[f"Parallel {number}"] = heard
            self.heard["one thread"] = dspy.Parallel(num_threads=1, disable_progress_bar=True)(pairs)[0]
            self.heard["batch"] = self.inside.batch(
                [dspy.Example(number=0).with_inputs("number")], disable_progress_bar=True
            )[0]
            self.heard["asyncify"] = asyncio.run(dspy.asyncify(self.inside)())
            self.react(question=question)
            return question

    def reply(prompt: Prompt) -> dict[str, Any]:
        return {"next_tool_name": "look", "next_tool_args": {}} if "next_tool_name" in prompt.outputs else {}

    app = with_memory(Everywhere(), include=["draft"])
    app.set_lm(StubModel(reply).lm)
    with app.use_state(app.new_state(l2_memory="m")):
        app(question="one")
        app(question="two")
    heard = app.module.heard
    here = heard.pop("here")
    assert [here[0], here[2]] == [[{"question": "one", "output": "one"}], "m"]
    assert here[3].count("- turn:") == 2
    assert here[4].startswith("root: turns=1 l2_chars=1\ndraft: turns=2")
    assert heard == dict.fromkeys(heard, here)
    assert len(heard) == 7


async def test_an_async_tool_and_a_threaded_program_ask_too(stub: StubModel) -> None:
    class Sync(dspy.Module):
        def forward(self, question: str) -> Any:
            return everything()

    session = sessionify(Sync())
    await session.acall(question="one")
    assert (await session.acall(question="two"))[0][0]["question"] == "one"


def test_a_plain_thread_is_outside() -> None:
    def ask(question: str, history: dspy.History) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(everything).result()

    assert sessionify(Scripted(ask))(question="a") == OUTSIDE


async def test_what_outlives_its_call_is_outside() -> None:
    over, heard = asyncio.Event(), []

    async def later() -> None:
        await over.wait()
        heard.append(everything())

    tasks: list[asyncio.Task[None]] = []

    async def answer(question: str, history: dspy.History) -> str:
        tasks.append(asyncio.create_task(later()))
        return question

    await sessionify(Scripted(answer)).acall(question="a")
    over.set()
    await asyncio.gather(*tasks)
    assert heard == [OUTSIDE]


async def test_what_outlives_an_inner_call_is_in_the_outer_one() -> None:
    over, heard = asyncio.Event(), []
    tasks: list[asyncio.Task[None]] = []

    async def later() -> None:
        await over.wait()
        heard.append(everything()[4])

    async def inside(question: str, history: dspy.History) -> str:
        tasks.append(asyncio.create_task(later()))
        return question

    inner = sessionify(Scripted(inside))

    async def outside(question: str, history: dspy.History) -> str:
        await inner.acall(question=question)
        over.set()
        await asyncio.gather(*tasks)
        return question

    await sessionify(Scripted(outside)).acall(question="a")
    assert heard == ["root: turns=0 l2_chars=0\nactive_stack=root"]


def test_sessions_inside_one_another() -> None:
    heard: list[Any] = []

    def inside(question: str, history: dspy.History) -> str:
        heard.append(everything())
        return question

    inner = sessionify(Scripted(inside))
    outer = sessionify(Scripted(lambda question, _: inner(question=f"inner {question}")))
    outer(question="a")
    outer(question="b")
    current, outermost, _, _, trace = heard[1]
    assert [message["question"] for message in current] == ["inner a"]
    assert [message["question"] for message in outermost] == ["a"]
    assert trace.endswith("active_stack=root > root")


def test_what_is_asked_is_a_copy() -> None:
    def greedy(question: str, history: dspy.History) -> str:
        for asked in (get_current_history(), get_outer_history()):
            assert asked is not None
            asked.messages.append({"question": "invented"})
        return str(len(history.messages))

    session = sessionify(Scripted(greedy))
    session(question="a")
    assert session(question="b") == "1"
    assert len(session.turns[1].history_snapshot.messages) == 1


def test_a_template_adapter_can_show_what_a_child_has_said() -> None:
    from dspy_template_adapter import TemplateAdapter

    messages = [{"role": "user", "content": "{ledger()}\n{text}"}]
    adapter = TemplateAdapter(messages=messages, parse_mode="full_text")
    adapter.register_helper("ledger", lambda **_: get_child_l1_ledger("draft"))

    class Shown(Team):
        def forward(self, question: str) -> dspy.Prediction:
            text = self.draft(question=question).text
            with dspy.context(adapter=adapter):
                return self.edit(text=text)

    app = with_memory(Shown())
    app.set_lm((stub := StubModel(lambda _: {"text": "t", "answer": "a"})).lm)
    app(question="What is said?")
    assert '  inputs: {"question": "What is said?"}' in stub.prompts[-1].text
