"""An agent that uses too many tools is stopped, whatever it makes of errors."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dspy
import pytest

from dspy_session import Session
from dspy_session.conversation import Conversations, TakenTurn, TurnRequest
from dspy_session.errors import SessionError
from dspy_session_chat.rules.steps import StepCounter, StepsUsedUpError, shorten
from tests.stub_lm import Prompt, StubModel, tool_call


class Tools:
    """A tool, and how often it was used; a session copies what an agent holds, but no function."""

    def __init__(self) -> None:
        self.looked_up: list[str] = []

        def look_up(word: str) -> str:
            self.looked_up.append(word)
            return f"{word} means something"

        self.look_up = look_up

    def react(self) -> dspy.ReAct:
        return dspy.ReAct("question -> answer", tools=[self.look_up])


def looks_up(times: float) -> StubModel:
    """A model that wants to look up a word that many times before it is done."""
    asked = 0

    def reply(prompt: Prompt) -> dict[str, Any]:
        nonlocal asked
        if "next_tool_name" not in prompt.outputs:
            return {"reasoning": "so", "answer": f"after {asked}"}
        asked += 1
        if asked > times:
            return {"next_thought": "done", "next_tool_name": "finish", "next_tool_args": {}}
        return {"next_thought": "hm", "next_tool_name": "look_up", "next_tool_args": {"word": f"w{asked}"}}

    return StubModel(reply)


async def run(agent: dspy.Module, model: StubModel, steps: int) -> Any:
    counter = StepCounter(steps)
    with counter.telling(), dspy.context(lm=model.lm, callbacks=[*dspy.settings.callbacks, counter]):
        return await agent.acall(question="why?")


async def test_an_agent_may_use_as_many_tools_as_it_may() -> None:
    tools = Tools()
    assert (await run(tools.react(), looks_up(3), 3)).answer == "after 4"
    assert tools.looked_up == ["w1", "w2", "w3"]


async def test_one_tool_more_ends_it_and_does_not_run() -> None:
    tools, model = Tools(), looks_up(99)
    with pytest.raises(StepsUsedUpError, match="the agent used 3 tools for one message, which is all that it may"):
        await run(tools.react(), model, 3)
    assert tools.looked_up == ["w1", "w2", "w3"]
    assert len(model.prompts) == 4  # nothing is asked any more


def test_a_sync_agent_is_ended_too() -> None:
    tools, counter = Tools(), StepCounter(2)
    with pytest.raises(StepsUsedUpError), counter.telling(), dspy.context(lm=looks_up(99).lm, callbacks=[counter]):
        tools.react()(question="why?")
    assert tools.looked_up == ["w1", "w2"]


async def test_no_tool_at_all() -> None:
    tools = Tools()
    with pytest.raises(StepsUsedUpError):
        await run(tools.react(), looks_up(1), 0)
    assert (await run(tools.react(), looks_up(0), 0)).answer == "after 1"
    assert tools.looked_up == []


async def test_a_loop_that_is_shortened_answers_from_what_it_has_found() -> None:
    tools, model = Tools(), looks_up(99)
    agent = Session(tools.react())
    shorten(agent, 3)
    assert (await run(agent, model, 3)).answer == "after 3"
    assert tools.looked_up == ["w1", "w2", "w3"]


def test_a_loop_that_is_short_stays_as_it_is() -> None:
    agent = dspy.ReAct("question -> answer", tools=[], max_iters=2)
    shorten(agent, 5)
    assert agent.max_iters == 2


async def test_native_tool_calls_are_counted_each() -> None:
    tools = Tools()
    calls = [tool_call("look_up", call_id=f"c{number}", word=f"w{number}") for number in range(5)]
    agent = dspy.ReActV2("question -> answer", tools=[tools.look_up])
    with pytest.raises(StepsUsedUpError):
        await run(agent, StubModel(lambda prompt: calls, function_calling=True), 3)
    assert tools.looked_up == ["w0", "w1", "w2"]


async def test_tools_in_threads_are_counted_together() -> None:
    tools, counter = Tools(), StepCounter(10)
    tool = dspy.Tool(tools.look_up)

    def use(number: int) -> bool:
        try:
            with counter.telling(), dspy.context(callbacks=[counter]):
                tool(word=f"w{number}")
        except StepsUsedUpError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(use, range(50))) == 10
    assert len(tools.looked_up) == 10


async def test_a_turn_of_a_conversation_that_was_stopped_is_not_recorded_and_the_next_one_runs() -> None:
    tools = Tools()
    async with Conversations(tools.react(), "memory://") as conversations:

        async def take(wanted: int) -> TakenTurn:
            counter = StepCounter(2)
            async with conversations.turn(TurnRequest(key="place:W:C:t", inputs={"question": "why?"})) as turn:
                with counter.telling(), dspy.context(lm=looks_up(wanted).lm, callbacks=[counter]):
                    await turn.run()
            return turn

        with pytest.raises(StepsUsedUpError):
            await take(99)
        assert not (await conversations.state("place:W:C:t")).turns
        turn = await take(2)
        assert turn.committed is not None
        assert turn.committed.index == 0


@pytest.mark.parametrize("wanted", [2, 99])
async def test_a_stream_is_ended_where_it_is_read(wanted: int) -> None:
    tools, counter, items = Tools(), StepCounter(2), []
    agent = Session(tools.react())

    async def read() -> None:
        pieces = agent.astream("answer", question="why?")
        with counter.telling():
            with dspy.context(lm=looks_up(wanted).lm, callbacks=[counter]):
                items.append(await anext(pieces))
            items.extend([item async for item in pieces])  # the context is no more; what runs was started in it

    if wanted == 2:
        await read()
        assert items[-1].answer == "after 3"
    else:
        with pytest.raises(SessionError, match="used 2 tools"):
            await read()
    assert tools.looked_up == ["w1", "w2"]
    assert len(asyncio.all_tasks()) == 1
