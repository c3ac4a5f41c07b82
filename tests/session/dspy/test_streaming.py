"""``astream``: the same turn as ``acall`` makes, shown while it is made."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import dspy
import pytest
from dspy.adapters.baml_adapter import BAMLAdapter
from dspy.lm15 import ThinkingPart
from dspy.streaming import StatusMessage, StreamResponse
from dspy_template_adapter import Predict as TemplatePredict
from dspy_template_adapter import TemplateAdapter
from hypothesis import given
from hypothesis import strategies as st

from dspy_session import SessionState, sessionify
from tests.stub_lm import Prompt, StubModel


async def all_of(items: AsyncIterator[Any]) -> tuple[list[str], list[str], Any]:
    """Status messages, chunks, and what came last."""
    got = [item async for item in items]
    *before, last = got
    status = [item.message for item in before if isinstance(item, StatusMessage)]
    chunks = [item for item in before if isinstance(item, StreamResponse)]
    assert len(status) + len(chunks) == len(before)
    assert not any(chunk.is_last_chunk for chunk in chunks[:-1])
    return status, [chunk.chunk for chunk in chunks], last


STREAMING: dict[str, Callable[[], dspy.Adapter]] = {
    "Chat": dspy.ChatAdapter,
    "JSON": dspy.JSONAdapter,
    "XML": dspy.XMLAdapter,
}
SILENT: dict[str, Callable[[], dspy.Adapter]] = {
    "BAML": BAMLAdapter,
    "TwoStep": lambda: dspy.TwoStepAdapter(StubModel().lm),
    "template": lambda: TemplateAdapter(messages=[{"role": "user", "content": "{question}"}], parse_mode="full_text"),
}


def speak(prompt: Prompt) -> Any:
    return dict.fromkeys(prompt.outputs, "one two three four") or "one two three four"


@pytest.mark.parametrize("adapter", STREAMING)
async def test_chunks_make_up_the_answer(adapter: str) -> None:
    stub = StubModel(speak)
    session = sessionify(dspy.ChainOfThought("question -> answer"))
    with dspy.context(lm=stub.lm, adapter=STREAMING[adapter]()):
        for number in range(2):
            status, chunks, last = await all_of(session.astream(question=f"q{number}"))
            assert "".join(chunks) == last.answer == "one two three four"
            assert len([chunk for chunk in chunks if chunk]) > 2
            assert not status
    assert isinstance(last, dspy.Prediction)
    assert [turn.inputs for turn in session.turns] == [{"question": "q0"}, {"question": "q1"}]
    assert [len(prompt.messages) for prompt in stub.prompts] == [1, 3]


@pytest.mark.parametrize("adapter", SILENT)
async def test_an_adapter_that_cannot_stream_yields_the_result_alone(adapter: str) -> None:
    session = sessionify(dspy.Predict("question -> answer"))
    with dspy.context(lm=StubModel(speak).lm, adapter=SILENT[adapter]()):
        for number in range(2):
            status, chunks, last = await all_of(session.astream(question=f"q{number}"))
            assert (status, chunks, last.answer) == ([], [], "one two three four")
    assert len(session) == 2


async def test_a_predictor_with_an_adapter_of_its_own() -> None:
    template = SILENT["template"]()
    session = sessionify(TemplatePredict("question -> answer", adapter=template))
    with dspy.context(lm=StubModel(speak).lm):
        _, chunks, last = await all_of(session.astream(question="?"))
    assert (chunks, last.answer) == ([], "one two three four")
    spoken = sessionify(TemplatePredict("question -> answer", adapter=dspy.JSONAdapter()))
    with dspy.context(lm=StubModel(speak).lm):
        _, chunks, last = await all_of(spoken.astream(question="?"))
    assert "".join(chunks) == last.answer


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]) | st.sampled_from('\n[]#"\\<&{} ')
)


@pytest.mark.parametrize("adapter", STREAMING)
@given(text=TEXT, size=st.integers(1, 7))
def test_whatever_is_said_and_however_it_is_cut(adapter: str, text: str, size: int) -> None:
    written = text
    if adapter == "XML":
        written = text.replace("&", "&amp;").replace("<", "&lt;")
    stub = StubModel(lambda _: {"answer": written, "mood": "fine"}, chunk_size=size)
    session = sessionify(dspy.Predict("question -> answer, mood"))

    async def run() -> tuple[list[str], list[str], Any]:
        with dspy.context(lm=stub.lm, adapter=STREAMING[adapter]()):
            return await all_of(session.astream("answer", question="?"))

    _, chunks, last = asyncio.run(run())
    assert "".join(chunks) == last.answer
    assert last.answer == (text if adapter == "JSON" else text.strip())


async def test_the_field_that_is_asked_for(stub: StubModel) -> None:
    session = sessionify(dspy.ChainOfThought("question -> answer, joke"))
    for field, expected in ((None, "answer"), ("joke", "joke"), ("reasoning", "reasoning")):
        session.reset()
        _, chunks, last = await all_of(session.astream(field, question="hello there"))
        assert "".join(chunks) == last[expected]
    status, chunks, last = await all_of(session.astream("unknown", question="hello there"))
    assert (status, chunks) == ([], [])
    assert len(session) == 2


async def test_fields_that_are_no_text() -> None:
    session = sessionify(dspy.Predict("question -> numbers: list[int], note"))
    stub = StubModel(lambda _: {"numbers": [1, 2, 3], "note": "n"})
    for adapter in (dspy.ChatAdapter(), dspy.JSONAdapter()):
        with dspy.context(lm=stub.lm, adapter=adapter):
            _, chunks, last = await all_of(session.astream("numbers", question="?"))
        assert "".join(chunks) == "[1, 2, 3]"
        assert last.numbers == [1, 2, 3]


async def test_reasoning_that_a_model_sends_apart() -> None:
    class Thinking(dspy.Signature):
        """Think, then answer."""

        question: str = dspy.InputField()
        reasoning: dspy.Reasoning = dspy.OutputField()
        answer: str = dspy.OutputField()

    def reply(prompt: Prompt) -> Any:
        thoughts = [ThinkingPart("well, "), ThinkingPart("hmm")]
        return [*thoughts, "[[ ## answer ## ]]\n", "so ", "it is\n\n", "[[ ## completed ## ]]"]

    stub = StubModel(reply)
    stub.engine.supports_reasoning = True
    session = sessionify(dspy.Predict(Thinking))
    with dspy.context(lm=stub.lm):
        _, chunks, last = await all_of(session.astream("reasoning", question="?"))
        assert ("".join(chunks), last.reasoning, last.answer) == ("well, hmm", "well, hmm", "so it is")
        _, chunks, last = await all_of(session.astream(question="?"))
        assert "".join(chunks) == last.answer == "so it is"
    as_text = StubModel(lambda _: {"reasoning": "in words", "answer": "fine"})
    with dspy.context(lm=as_text.lm):
        _, chunks, last = await all_of(session.astream("reasoning", question="?"))
    assert ("".join(chunks), last.reasoning) == ("in words", "in words")


async def test_chunks_arrive_while_the_model_speaks() -> None:
    go_on = asyncio.Event()
    stub = StubModel(lambda _: ["[[ ## answer ## ]]\n", "first ", go_on, "second\n\n", "[[ ## completed ## ]]"])
    session = sessionify(dspy.Predict("question -> answer"))
    with dspy.context(lm=stub.lm):
        items = session.astream(question="?")
        assert (await anext(items)).chunk == "first"
        assert not go_on.is_set()
        assert not len(session), "a turn is recorded when it is over"
        go_on.set()
        _, chunks, last = await all_of(items)
    assert "".join(chunks) == " second"
    assert last.answer == "first second"
    assert len(session) == 1


# --- tools and programs ---------------------------------------------------------------------------------------------


def looks_up(times: int) -> Callable[[Prompt], Any]:
    """A ReAct that calls its tool so many times."""

    def reply(prompt: Prompt) -> dict[str, Any]:
        if "next_tool_name" not in prompt.outputs:
            return {"reasoning": "r", "answer": "the final answer"}
        done = f"observation_{times - 1}" in prompt.inputs
        tool, arguments = ("finish", {}) if done else ("lookup", {"word": "x"})
        return {"next_thought": "t", "next_tool_name": tool, "next_tool_args": arguments}

    return reply


def lookup(word: str) -> str:
    """Look it up."""
    return word


async def alookup(word: str) -> str:
    """Look it up, awaiting."""
    await asyncio.sleep(0)
    return word


@pytest.mark.unwatched
@pytest.mark.parametrize("tool", [dspy.Tool(lookup), dspy.Tool(alookup, name="lookup")], ids=["sync", "async"])
async def test_many_tool_calls_in_a_row_do_not_hang(tool: dspy.Tool) -> None:
    session = sessionify(dspy.ReAct("question -> answer", tools=[tool]))
    async with asyncio.timeout(20):
        with dspy.context(lm=StubModel(looks_up(18)).lm):
            status, chunks, last = await all_of(session.astream(question="?"))
    assert status.count("Calling tool lookup...") == 18
    assert len(status) == 36
    assert "".join(chunks) == last.answer == "the final answer"
    assert len(session) == 1


class SyncOnly(dspy.Module):
    """Runs in a thread; its tool is called many times, its predictor in a module inside."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = dspy.ChainOfThought("question -> answer")
        self.tool = dspy.Tool(lookup)

    def forward(self, question: str) -> Any:
        for _ in range(18):
            self.tool(word=question)
        return self.inner(question=question)


class Parallel(dspy.Module):
    """Speaks from threads that are not AnyIO's."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.Predict("question -> answer")

    def forward(self, question: str) -> Any:
        pairs = [(self.answer, {"question": f"{question} {n}"}) for n in range(2)]
        return dspy.Parallel(num_threads=2, disable_progress_bar=True)(pairs)[0]


class CallsSync(dspy.Module):
    """Calls its predictor and a model synchronously from the loop, as bad programs do."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.Predict("question -> answer")

    async def aforward(self, question: str) -> Any:
        dspy.settings.lm("directly")
        return self.answer(question=question)


class Twice(dspy.Module):
    """Speaks twice at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = dspy.Predict("question -> answer")

    async def aforward(self, question: str) -> Any:
        results = await asyncio.gather(*(self.answer.acall(question=f"{question} {n}") for n in "ab"))
        return results[0]


async def test_a_module_that_cannot_await_streams_from_its_thread(stub: StubModel) -> None:
    session = sessionify(SyncOnly())
    async with asyncio.timeout(20):
        status, chunks, last = await all_of(session.astream(question="hello"))
    assert len(status) == 36
    assert "".join(chunks) == last.answer
    assert len([chunk for chunk in chunks if chunk]) > 2
    assert len(session) == 1


@pytest.mark.parametrize("program", [Parallel, CallsSync])
async def test_where_dspy_cannot_stream_the_result_comes_alone(
    stub: StubModel, program: type[dspy.Module], caplog: pytest.LogCaptureFixture
) -> None:
    session = sessionify(program())
    async with asyncio.timeout(20):
        status, chunks, last = await all_of(session.astream(question="hello"))
    assert (status, chunks) == ([], [])
    assert "hello" in last.answer
    assert not caplog.records


async def test_of_two_replies_at_once_one_is_shown(stub: StubModel) -> None:
    _, chunks, last = await all_of(sessionify(Twice()).astream(question="hello"))
    assert "".join(chunks) in ("hello a (after 0 messages)", "hello b (after 0 messages)")
    assert last.answer == "hello a (after 0 messages)"


async def test_a_session_inside_streams(stub: StubModel) -> None:
    class Outer(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.chat = sessionify(dspy.ChainOfThought("question -> answer"))

        async def aforward(self, question: str) -> Any:
            return await self.chat.acall(question=question)

    session = sessionify(Outer())
    _, chunks, last = await all_of(session.astream(question="hello"))
    assert "".join(chunks) == last.answer
    assert (len(session), len(session.module.chat)) == (1, 1)


async def test_a_status_provider_finds_the_words(stub: StubModel) -> None:
    class Words(dspy.streaming.StatusMessageProvider):
        def module_start_status_message(self, instance: Any, inputs: dict[str, Any]) -> str:
            return f"start {type(instance).__name__}"

        def module_end_status_message(self, outputs: Any) -> str:
            return "end"

        def lm_start_status_message(self, instance: Any, inputs: dict[str, Any]) -> str:
            return "asking"

        def lm_end_status_message(self, outputs: Any) -> str:
            return "asked"

    session = sessionify(dspy.ChainOfThought("question -> answer"), status_provider=Words())
    status, chunks, last = await all_of(session.astream(question="hello"))
    starts = ["start Session", "start ChainOfThought", "start Predict"]
    assert status == [*starts, "asking", "asked", "end", "end", "end"]
    assert "".join(chunks) == last.answer


async def test_a_plain_string_comes_last(stub: StubModel) -> None:
    class Plain(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = dspy.Predict("question -> answer")

        def forward(self, question: str) -> str:
            answer: str = self.ask(question=question).answer
            return answer.upper()

    *_, last = [item async for item in sessionify(Plain()).astream(question="hello")]
    assert last == "HELLO (AFTER 0 MESSAGES)"


# --- a turn like any other ------------------------------------------------------------------------------------------


async def test_states_hooks_policies_and_histories_are_those_of_acall(stub: StubModel) -> None:
    heard: list[Any] = []
    session = sessionify(dspy.Predict("question -> answer"), lock="async", on_turn=lambda _, turn: heard.append(turn))
    state = SessionState(initial_history=dspy.History(messages=[{"question": "seed", "answer": "grain"}]))
    with session.use_state(state):
        await all_of(session.astream(question="one"))
    assert (len(state), len(session), len(heard)) == (1, 0, 1)
    assert "seed" in stub.prompts[-1].text
    other = dspy.History(messages=[{"question": "other", "answer": "past"}])
    await all_of(session.astream(question="two", history=other))
    assert "other" in stub.prompts[-1].text
    assert (len(session), len(heard)) == (0, 1)
    with pytest.raises(TypeError, match=r"must be a dspy\.History"):
        await all_of(session.astream(question="three", history="no history"))


def speaking_slowly() -> tuple[StubModel, asyncio.Event, asyncio.Event]:
    """A model that says two words, then waits to be let on; and an event for when it waits."""
    go_on, waits = asyncio.Event(), asyncio.Event()

    async def reply(prompt: Prompt) -> Any:
        if "slow" not in prompt.last:
            return {"answer": "quick"}
        waits.set()
        return ["[[ ## answer ## ]]\n", "one ", "two ", go_on, "three\n\n[[ ## completed ## ]]"]

    return StubModel(reply), go_on, waits


@pytest.mark.parametrize("lock", ["none", "async"])
async def test_leaving_early_cancels_and_records_nothing(lock: str) -> None:
    stub, go_on, _ = speaking_slowly()
    session = sessionify(dspy.Predict("question -> answer"), lock=lock)
    with dspy.context(lm=stub.lm):
        async for item in session.astream(question="slow"):
            assert item.chunk == "one"
            break
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks, return_exceptions=True)
        go_on.set()
        assert not len(session)
        assert (await session.acall(question="next")).answer == "quick"
        *_, last = await all_of(session.astream(question="slow again"))
    assert last.answer == "one two three"
    assert [turn.inputs["question"] for turn in session.turns] == ["next", "slow again"]


async def test_closing_waits_until_the_turn_is_over() -> None:
    stub, _, _ = speaking_slowly()
    session = sessionify(dspy.Predict("question -> answer"), lock="async")
    with dspy.context(lm=stub.lm):
        items = session.astream(question="slow")
        await anext(items)
        await items.aclose()
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
        assert not len(session)
        assert not session.state.lock.locked()


async def test_cancelling_the_reader_cancels_the_turn() -> None:
    stub, _, waits = speaking_slowly()
    session = sessionify(dspy.Predict("question -> answer"), lock="async")

    async def read() -> None:
        async for _ in session.astream(question="slow"):
            pass

    with dspy.context(lm=stub.lm):
        reader = asyncio.create_task(read())
        await waits.wait()
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert not len(session)
        *_, last = [item async for item in session.astream(question="next")]
    assert last.answer == "quick"


async def test_a_turn_left_in_its_thread_is_not_recorded_later() -> None:
    go_on, done = threading.Event(), threading.Event()

    class Slow(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tool = dspy.Tool(lookup)
            self.ask = dspy.Predict("question -> answer")

        def forward(self, question: str) -> Any:
            try:
                self.tool(word="x")
                go_on.wait(10)
                return self.ask(question=question)
            finally:
                done.set()

    session = sessionify(Slow(), lock="async")
    with dspy.context(lm=StubModel().lm):
        items = session.astream(question="left")
        assert isinstance(await anext(items), StatusMessage)
        await items.aclose()
        go_on.set()
        await asyncio.to_thread(done.wait, 10)
        assert not len(session)
        await all_of(session.astream(question="next"))
    assert [turn.inputs["question"] for turn in session.turns] == ["next"]


async def test_errors_come_to_the_reader(caplog: pytest.LogCaptureFixture) -> None:
    replies = iter([["[[ ## answer ## ]]\n", "half ", ValueError("the line dropped")], {"answer": "fine"}])
    stub = StubModel(lambda _: next(replies))
    session = sessionify(dspy.Predict("question -> answer"), lock="async")
    with dspy.context(lm=stub.lm):
        items = session.astream(question="one")
        assert (await anext(items)).chunk == "half"
        with pytest.raises(dspy.LMError, match="the line dropped"):
            await anext(items)
        assert not len(session)
        *_, last = [item async for item in session.astream(question="two")]
    assert last.answer == "fine"
    assert not caplog.records


async def test_an_error_that_nobody_waits_for_is_not_complained_about(caplog: pytest.LogCaptureFixture) -> None:
    class Stubborn(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tool = dspy.Tool(lookup)

        async def aforward(self, question: str) -> Any:
            self.tool(word=question)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as error:
                raise RuntimeError("will not be cancelled") from error

    session = sessionify(Stubborn())
    items = session.astream(question="?")
    await anext(items)
    await items.aclose()
    assert not len(session)
    assert not caplog.records


async def test_concurrent_streams_do_not_mix() -> None:
    async def reply(prompt: Prompt) -> Any:
        await asyncio.sleep(0)
        return {"answer": f"{prompt.inputs['question']} " * 20}

    session = sessionify(dspy.Predict("question -> answer"), lock="async")
    states = {name: session.new_state() for name in "abcdefgh"}

    async def talk(name: str) -> None:
        for turn in range(2):
            with session.use_state(states[name]):
                _, chunks, last = await all_of(session.astream(question=f"{name}{turn}"))
            assert "".join(chunks) == last.answer == f"{name}{turn} " * 19 + f"{name}{turn}"

    with dspy.context(lm=StubModel(reply).lm):
        await asyncio.gather(*map(talk, states))
    assert {name: [turn.inputs["question"] for turn in state] for name, state in states.items()} == {
        name: [f"{name}0", f"{name}1"] for name in states
    }


async def test_a_stream_and_calls_on_one_state_wait_for_one_another() -> None:
    stub, go_on, waits = speaking_slowly()
    session = sessionify(dspy.Predict("question -> answer"), lock="async")
    with dspy.context(lm=stub.lm):
        items = session.astream(question="slow")
        await anext(items)
        waiting = asyncio.create_task(session.acall(question="after"))
        await waits.wait()
        assert len(stub.prompts) == 1
        go_on.set()
        await all_of(items)
        await waiting
    assert [turn.inputs["question"] for turn in session.turns] == ["slow", "after"]
    assert "one two three" in stub.prompts[-1].text


# --- replies that cannot be read ------------------------------------------------------------------------------------


@pytest.mark.parametrize("threaded", [False, True])
async def test_a_reply_of_which_nothing_was_shown_is_asked_for_again_as_json(threaded: bool) -> None:
    class Threaded(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ask = dspy.Predict("question -> answer")

        def forward(self, question: str) -> Any:
            return self.ask(question=question)

    def reply(prompt: Prompt) -> Any:
        return {"answer": "fine"} if prompt.style == "json" else "no idea how to write this"

    stub = StubModel(reply)
    session = sessionify(Threaded() if threaded else dspy.Predict("question -> answer"))
    with dspy.context(lm=stub.lm):
        await all_of(session.astream(question="one"))
        _, chunks, last = await all_of(session.astream(question="two"))
    assert (chunks, last.answer) == ([], "fine")
    assert [prompt.style for prompt in stub.prompts] == ["chat", "json"] * 2
    assert "one" in stub.prompts[-1].text


async def test_a_reply_that_was_shown_in_part_is_an_error() -> None:
    stub = StubModel(lambda prompt: "[[ ## answer ## ]]\nall that there is\n\n[[ ## completed ## ]]")
    session = sessionify(dspy.Predict("question -> answer, missing"))
    with dspy.context(lm=stub.lm), pytest.raises(dspy.utils.exceptions.AdapterParseError):
        await all_of(session.astream(question="?"))
    assert len(stub.prompts) == 1
    assert not len(session)


async def test_no_fallback_where_the_adapter_says_so() -> None:
    stub = StubModel(lambda prompt: "no idea")
    session = sessionify(dspy.Predict("question -> answer"))
    adapter = dspy.ChatAdapter(use_json_adapter_fallback=False)
    with dspy.context(lm=stub.lm, adapter=adapter), pytest.raises(dspy.utils.exceptions.AdapterParseError):
        await all_of(session.astream(question="?"))
    assert len(stub.prompts) == 1


# --- DSPy's own streaming -------------------------------------------------------------------------------------------


async def test_streamify_works_on_a_session(stub: StubModel) -> None:
    session = sessionify(dspy.ChainOfThought("question -> answer"))
    listener = dspy.streaming.StreamListener("answer", allow_reuse=True)
    program = dspy.streamify(session, stream_listeners=[listener], is_async_program=True)
    with dspy.context(adapter=dspy.ChatAdapter()):
        for question in ("one", "two"):
            *chunks, last = [item async for item in program(question=question)]
            assert "".join(chunk.chunk for chunk in chunks) == last.answer
    assert len(session) == 2
    assert "one" in stub.prompts[-1].text


async def test_nobody_reads_from_a_stream_that_is_never_begun(stub: StubModel) -> None:
    session = sessionify(dspy.Predict("question -> answer"))
    items = session.astream(question="?")
    await items.aclose()
    assert not stub.prompts
    assert not len(session)
