"""Consolidators: any module or callable, awaited where that is needed, never one of the program's predictors."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
from decimal import Decimal
from typing import Any

import dspy
import pydantic
import pytest

from dspy_session import (
    Turn,
    get_current_history,
    get_execution_trace,
    get_outer_history,
    sessionify,
    with_memory,
)
from dspy_session.consolidate import transcript
from tests.session.programs import Scripted, Team
from tests.stub_lm import Prompt, StubModel

both = pytest.mark.parametrize("asynchronous", [False, True])


class Note(pydantic.BaseModel):
    subject: str = "Max"
    memory: str = "a model"


@pytest.mark.parametrize(
    ("returned", "memory"),
    [
        ("a text", "a text"),
        (7, "7"),
        ({"other": "x", "output": "o", "l2_memory": "l", "memory": "m", "updated_memory": "u"}, "u"),
        ({"other": "x", "output": "o", "l2_memory": "l", "memory": "m"}, "m"),
        ({"other": "x", "output": "o", "l2_memory": "l"}, "l"),
        ({"other": "x", "output": "o"}, "o"),
        ({"summary": "first", "other": "x"}, "first"),
        (dspy.Prediction(reasoning="r", updated_memory="u"), "u"),
        (Note(), "a model"),
        ("", ""),
    ],
)
@both
async def test_where_the_memory_is_found(returned: Any, memory: str, asynchronous: bool) -> None:
    session = sessionify(Scripted(), lifespan="episodic", consolidator=lambda **_: returned)
    session.state.l2_memory = "before"
    await (session.acall(question="a") if asynchronous else asyncio.to_thread(session, question="a"))
    assert session.state.l2_memory == memory
    assert len(session) == 0


@pytest.mark.parametrize("returned", [None, {}, {"updated_memory": None}, dspy.Prediction()])
def test_no_memory_is_a_failure(returned: Any, caplog: pytest.LogCaptureFixture) -> None:
    session = sessionify(Scripted(), lifespan="episodic", consolidator=lambda **_: returned)
    session.state.l2_memory = "before"
    session(question="a")
    assert (session.state.l2_memory, len(session)) == ("before", 1)
    assert "the consolidator returned no memory" in caplog.text


def plain(past_memory: str, episode_transcript: str) -> str:
    return past_memory + "plain"


async def awaited(past_memory: str, episode_transcript: str) -> str:
    await asyncio.sleep(0)
    return past_memory + "awaited"


class Called:
    def __call__(self, past_memory: str, episode_transcript: str) -> str:
        return past_memory + "called"


class AwaitedObject:
    async def __call__(self, past_memory: str, episode_transcript: str) -> str:
        await asyncio.sleep(0)
        return past_memory + "awaited object"


class SyncModule(dspy.Module):
    def forward(self, past_memory: str, episode_transcript: str) -> str:
        return past_memory + "module"


class AsyncModule(SyncModule):
    async def aforward(self, past_memory: str, episode_transcript: str) -> str:
        await asyncio.sleep(0)
        return past_memory + "module"


@pytest.mark.parametrize(
    ("consolidator", "memory"),
    [
        (plain, "plain"),
        (awaited, "awaited"),
        (functools.partial(awaited, past_memory="partial "), "awaited"),
        (Called(), "called"),
        (AwaitedObject(), "awaited object"),
        (SyncModule(), "module"),
        (AsyncModule(), "module"),
    ],
)
@both
async def test_every_kind_of_consolidator(consolidator: Any, memory: str, asynchronous: bool) -> None:
    session = sessionify(Scripted(), lifespan="episodic", consolidator=consolidator)
    await session.acall(question="a") if asynchronous else session(question="a")
    assert session.state.l2_memory == memory


async def test_a_sync_consolidator_runs_off_the_event_loop_under_acall() -> None:
    threads: list[threading.Thread] = []
    told_by_the_loop = threading.Event()

    def waits_for_the_loop(past_memory: str, episode_transcript: str) -> str:
        threads.append(threading.current_thread())
        assert told_by_the_loop.wait(30)  # a loop that waited for this would never tell it
        return "m"

    session = sessionify(Scripted(), lifespan="episodic", consolidator=waits_for_the_loop)
    task = asyncio.create_task(session.acall(question="a"))
    while not threads:  # noqa: ASYNC110  # a thread sets no event of ours
        await asyncio.sleep(0)
    told_by_the_loop.set()
    await task
    assert threads[0] is not threading.current_thread()
    assert session.state.l2_memory == "m"


async def test_cancelling_a_consolidator_cancels_the_turn() -> None:
    began = asyncio.Event()

    async def endless(past_memory: str, episode_transcript: str) -> str:
        began.set()
        await asyncio.Event().wait()
        return ""

    session = sessionify(Scripted(), lifespan="episodic", consolidator=endless)
    task = asyncio.create_task(session.acall(question="a"))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (len(session), session.state.l2_memory) == (0, "")


@both
async def test_a_consolidator_is_not_one_of_the_programs_predictors(stub: StubModel, asynchronous: bool) -> None:
    consolidator = dspy.Predict("past_memory, episode_transcript -> updated_memory")
    app = with_memory(Team(), child_configs={"draft": {"lifespan": "episodic", "consolidator": consolidator}})
    with dspy.context(trace=[]):
        await app.acall(question="My name is Max") if asynchronous else app(question="My name is Max")
        traced = [predictor for predictor, _, _ in dspy.settings.trace]
    assert [name for name, _ in app.named_predictors()] == ["draft", "edit"]
    assert traced == [app.module.draft, app.module.edit]
    assert type(consolidator) is dspy.Predict
    prompt = stub.prompts[-1]
    assert list(prompt.inputs) == ["past_memory", "episode_transcript"]
    assert prompt.messages[0]["role"] == "user"
    assert len(prompt.messages) == 1
    assert app.state.node_states["draft"].l2_memory


@both
async def test_a_consolidator_stands_outside_the_call(stub: StubModel, asynchronous: bool) -> None:
    heard: list[Any] = []

    def asks(past_memory: str, episode_transcript: str) -> str:
        heard.append((get_current_history(), get_outer_history(), get_execution_trace()))
        return "m"

    app = with_memory(Team(), child_configs={"draft": {"lifespan": "episodic", "consolidator": asks}})
    await app.acall(question="a") if asynchronous else app(question="a")
    assert heard == [(None, None, "")]


def test_without_an_episode_there_is_nothing_to_consolidate(stub: StubModel) -> None:
    class Silent(Team):
        def forward(self, question: str) -> str:
            return get_execution_trace()

    episodes: list[str] = []

    def consolidator(past_memory: str, episode_transcript: str) -> str:
        episodes.append(episode_transcript)
        return "m"

    app = with_memory(Silent(), child_configs={"draft": {"lifespan": "episodic", "consolidator": consolidator}})
    assert "draft: turns=0" in app(question="a")
    assert episodes == []


def test_a_memory_reaches_the_prompt(stub: StubModel) -> None:
    def reply(prompt: Prompt) -> dict[str, str]:
        return {"answer": "You are Max" if "The user is Max" in prompt.text else "Who are you?"}

    session = sessionify(dspy.Predict("question -> answer"))
    session.set_lm(StubModel(reply).lm)
    assert session(question="Who am I?").answer == "Who are you?"
    with session.use_state(session.new_state(l2_memory="The user is Max")):
        assert session(question="Who am I?").answer == "You are Max"


def test_transcript_has_three_lines_a_turn() -> None:
    class Odd:
        def __str__(self) -> str:
            return "odd"

    turns = [
        Turn(3, {"question": "two\nlines", "tone": None}, {"answer": "Zoë", "score": 0.5}),
        Turn(4, {"odd": Odd(), "price": Decimal("1.10"), "pair": (1, 2)}, {}),
    ]
    lines = transcript(turns).splitlines()
    assert lines[:3] == [
        "- turn: 3",
        '  inputs: {"question": "two\\nlines", "tone": null}',
        '  outputs: {"answer": "Zoë", "score": 0.5}',
    ]
    assert json.loads(lines[4].removeprefix("  inputs: "))["odd"] == "odd"
    assert lines[5] == "  outputs: {}"
    assert transcript([]) == ""
