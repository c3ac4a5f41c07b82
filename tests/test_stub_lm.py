"""The stub must be as honest as a provider: every adapter, sync, async and streaming."""

from __future__ import annotations

import asyncio
import copy
import threading
from typing import Any, Literal

import cloudpickle
import dspy
import pytest
from dspy.adapters.baml_adapter import BAMLAdapter

from tests.stub_lm import Prompt, StubModel, tool_call


class Weather(dspy.Signature):
    """Tell the weather."""

    city: str = dspy.InputField()
    day: str = dspy.InputField(desc="a weekday")
    report: str = dspy.OutputField()
    degrees: list[int] = dspy.OutputField()
    sky: Literal["clear", "cloudy"] = dspy.OutputField(desc="what one sees:\n1. `not_a_field` (str): above")


def forecast(prompt: Prompt) -> dict[str, Any]:
    return {"report": f"{len(prompt.text.split())} words\nabout it", "degrees": [1, 2], "unasked": 1}


ADAPTERS = [dspy.ChatAdapter(), dspy.JSONAdapter(), dspy.XMLAdapter(), BAMLAdapter()]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: type(adapter).__name__)
async def test_fields_are_written_as_the_adapter_asks(adapter: dspy.Adapter) -> None:
    stub = StubModel(forecast)
    with dspy.context(lm=stub.lm, adapter=adapter):
        sync = dspy.Predict(Weather)(city="Rome", day="Monday\n\nor so")
        awaited = await dspy.Predict(Weather).acall(city="Rome", day="Monday\n\nor so")

    assert [len(stub.prompts), sync.degrees, sync.sky] == [2, [1, 2], "clear"]
    assert sync.report.endswith("words\nabout it")
    assert awaited.toDict() == sync.toDict()
    assert stub.prompts[0].inputs == {"city": "Rome", "day": "Monday\n\nor so"}
    assert list(stub.prompts[0].outputs) == ["report", "degrees", "sky"]


def test_two_step_adapter_reads_the_first_answer() -> None:
    stub = StubModel(forecast)
    with dspy.context(lm=stub.lm, adapter=dspy.TwoStepAdapter(stub.lm)):
        prediction = dspy.Predict(Weather)(city="Rome", day="Monday")
    assert (prediction.degrees, prediction.sky) == ([1, 2], "clear")
    assert prediction.report.endswith("about it")


def test_echo_depends_on_the_prompt_and_the_history() -> None:
    stub = StubModel()
    predict = dspy.Predict("question, history: dspy.History -> answer, score: float, sure: bool")
    with dspy.context(lm=stub.lm):
        past = dspy.History(messages=[{"question": "one", "answer": "1"}])
        first = predict(question="two", history=dspy.History(messages=[]))
        second = predict(question="two", history=past)
    assert (first.answer, second.answer) == ("two (after 0 messages)", "two (after 1 messages)")
    assert (first.score, first.sure) == (1.0, True)


async def test_streams_chunks_and_waits_for_events() -> None:
    go = asyncio.Event()
    stub = StubModel(lambda _: ["[[ ## answer ## ]]\n", "one ", go, "two\n\n", "[[ ## completed ## ]]"])
    predict = dspy.Predict("question -> answer")
    listener = dspy.streaming.StreamListener("answer")
    program = dspy.streamify(predict, stream_listeners=[listener], is_async_program=True)
    chunks: list[str] = []
    with dspy.context(lm=stub.lm, adapter=dspy.ChatAdapter()):
        async for item in program(question="count"):
            if isinstance(item, dspy.Prediction):
                answer = item.answer
            else:
                chunks.append(item.chunk)
                go.set()
    assert "".join(chunks).strip() == answer == "one two"
    assert len(chunks) > 1


def test_errors_are_the_callers() -> None:
    stub = StubModel(lambda _: ["half an", ValueError("the line dropped")])
    with dspy.context(lm=stub.lm), pytest.raises(dspy.LMError, match="the line dropped"):
        dspy.Predict("question -> answer")(question="?")
    assert len(stub.prompts) == 1


async def test_async_replies_need_acall_and_the_right_event() -> None:
    async def reply(prompt: Prompt) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"answer": prompt.inputs["question"].upper()}

    predict = dspy.Predict("question -> answer")
    with dspy.context(lm=StubModel(reply).lm):
        assert (await predict.acall(question="hi")).answer == "HI"
        with pytest.raises(dspy.LMError, match="only acall"):
            predict(question="hi")
    with dspy.context(lm=StubModel(lambda _: [threading.Event()]).lm), pytest.raises(dspy.LMError, match="asyncio"):
        await predict.acall(question="hi")
    with dspy.context(lm=StubModel(lambda _: [asyncio.Event()]).lm), pytest.raises(dspy.LMError, match="threading"):
        predict(question="hi")


def test_native_tool_calls_and_usage() -> None:
    def search(query: str) -> str:
        return query

    class Ask(dspy.Signature):
        question: str = dspy.InputField()
        tools: list[dspy.Tool] = dspy.InputField()
        calls: dspy.ToolCalls = dspy.OutputField()

    stub = StubModel(lambda _: [tool_call("search", query="Rome")], function_calling=True)
    adapter = dspy.ChatAdapter(use_native_function_calling=True)
    with dspy.context(lm=stub.lm, adapter=adapter, track_usage=True):
        prediction = dspy.Predict(Ask)(question="where?", tools=[dspy.Tool(search)])
    [call] = prediction.calls.tool_calls
    assert (call.name, call.args) == ("search", {"query": "Rome"})
    assert stub.prompts[0].request.tools[0].name == "search"
    assert prediction.get_lm_usage()["stub/stub"]["prompt_tokens"] > 0


def test_copies_of_the_lm_talk_to_the_same_model() -> None:
    stub = StubModel()
    for lm in (stub.lm.copy(temperature=1.0, rollout_id=7), copy.deepcopy(stub.lm)):
        with dspy.context(lm=lm):
            dspy.Predict("question -> answer")(question="?")
    assert len(stub.prompts) == 2
    with dspy.context(lm=cloudpickle.loads(cloudpickle.dumps(stub.lm))):
        assert dspy.Predict("question -> answer")(question="?").answer == "? (after 0 messages)"


def test_template_adapter_gets_plain_text() -> None:
    from dspy_template_adapter import TemplateAdapter

    adapter = TemplateAdapter(messages=[{"role": "user", "content": "{question}"}], parse_mode="full_text")
    stub = StubModel(lambda prompt: {"answer": f"re: {prompt.last}"})
    with dspy.context(lm=stub.lm, adapter=adapter):
        assert dspy.Predict("question -> answer")(question="why?").answer == "re: why?"


@pytest.mark.parametrize("chunk_size", [None, 3])
def test_chunks_join_to_the_reply(chunk_size: int | None) -> None:
    stub = StubModel(lambda _: " [[ ## answer ## ]]\n\n a  b ", chunk_size=chunk_size)
    with dspy.context(lm=stub.lm):
        dspy.Predict("question -> answer")(question="?")
    assert stub.lm.history[-1]["outputs"] == [" [[ ## answer ## ]]\n\n a  b "]
