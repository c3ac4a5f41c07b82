"""Adapters: a session's prompt is the one that DSPy's own History gives, where that one is right."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from typing import Any

import dspy
import pydantic
import pytest
from dspy.adapters.baml_adapter import BAMLAdapter
from dspy_template_adapter import Predict as TemplatePredict
from dspy_template_adapter import TemplateAdapter

from dspy_session import sessionify
from tests.stub_lm import Prompt, StubModel, tool_call


class Loud(dspy.ChatAdapter):
    """An adapter of somebody's own, that words the request its own way."""

    def user_message_output_requirements(self, signature: type[dspy.Signature]) -> str:
        return "ANSWER, IN ALL FIELDS: " + super().user_message_output_requirements(signature)


class Counting(dspy.JSONAdapter):
    """One that overrides what the sessions' rendering would otherwise replace."""

    def format(self, signature: type[dspy.Signature], demos: list[Any], inputs: dict[str, Any]) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = super().format(signature, demos, inputs)
        return [{**messages[0], "content": f"{len(messages)} messages\n{messages[0]['content']}"}, *messages[1:]]


OWN: dict[str, Callable[[], dspy.Adapter]] = {
    "Chat": dspy.ChatAdapter,
    "JSON": dspy.JSONAdapter,
    "XML": dspy.XMLAdapter,
    "BAML": BAMLAdapter,
}
OTHER: dict[str, Callable[[], dspy.Adapter]] = {
    "subclass": Loud,
    "subclass with a format": Counting,
    "template": lambda: TemplateAdapter(
        messages=[
            {"role": "system", "content": "{instruction}"},
            {"role": "history"},
            {"role": "user", "content": "{inputs()}"},
        ],
        parse_mode="full_text",
    ),
    "template with history in it": lambda: TemplateAdapter(
        messages=[{"role": "user", "content": 'So far:\n{history(style="yaml")}\nNow: {question}'}],
        parse_mode="full_text",
    ),
    "template that knows no history": lambda: TemplateAdapter(
        messages=[{"role": "user", "content": "Q: {question}"}], parse_mode="full_text"
    ),
}
ALL = {**OWN, "TwoStep": lambda: dspy.TwoStepAdapter(StubModel().lm), **OTHER}


class Plain(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str) -> str:
        return f"FINAL {self.ask(question=question).answer}"


PROGRAMS: dict[str, Callable[[], dspy.Module]] = {
    "own fields": lambda: dspy.Predict("question -> answer"),
    "other fields": Plain,
}


def numbered() -> StubModel:
    """A model whose every reply is another one."""
    number = count()

    def reply(prompt: Prompt) -> Any:
        return {name: f"reply {next(number)}" for name in prompt.outputs} or f"reply {next(number)}"

    return StubModel(reply)


def system_less_history(prompt: Prompt) -> str:
    """The system message without what it says of the history field."""
    lines = prompt.system.replace(", `history`", "").splitlines()
    lines = [line for line in lines if "history" not in line.lower() and line.strip()]
    return "\n".join(line.lstrip("0123456789. ").rstrip() for line in lines)


class Pet(pydantic.BaseModel):
    name: str
    legs: list[int]


class Rich(dspy.Signature):
    """Answer with everything."""

    question: str = dspy.InputField()
    pet: Pet = dspy.InputField()
    answer: str = dspy.OutputField()
    pets: list[Pet] = dspy.OutputField()
    sure: float = dspy.OutputField()


def rich(prompt: Prompt) -> dict[str, Any]:
    return {"answer": 'two\nlines [[ ## x ## ]] "q"', "pets": [{"name": "Bo", "legs": [1, 2]}], "sure": 0.5}


@pytest.mark.parametrize("adapter", OWN)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_the_prompt_is_that_of_dspys_own_history(adapter: str, asynchronous: bool) -> None:
    stub = StubModel(rich)
    bare = dspy.Predict(Rich.append("history", dspy.InputField(), type_=dspy.History))
    session = sessionify(dspy.Predict(Rich))
    messages: list[dict[str, Any]] = []
    with dspy.context(lm=stub.lm, adapter=OWN[adapter]()):
        for number in range(4):
            inputs = {"question": f"q {number}", "pet": Pet(name=f"P{number}", legs=[number])}
            expected = bare(**inputs, history=dspy.History(messages=list(messages)))
            got = await session.acall(**inputs) if asynchronous else session(**inputs)
            messages.append({**inputs, **expected})
            assert dict(got) == dict(expected)
            of_bare, of_session = stub.prompts[-2:]
            assert [m.parts for m in of_session.request.messages] == [m.parts for m in of_bare.request.messages]
            assert [m.role for m in of_session.request.messages] == [m.role for m in of_bare.request.messages]
            assert system_less_history(of_session) == system_less_history(of_bare)
            assert of_session.request.config == of_bare.request.config


@pytest.mark.parametrize("adapter", OWN)
def test_demos_read_as_in_the_bare_program(stub: StubModel, adapter: str) -> None:
    demos = [
        dspy.Example(question="complete?", mood="fine", answer="yes"),
        dspy.Example(question="incomplete?", context="c", answer="of course"),
        {"question": "a dict?", "answer": "why not"},
    ]
    bare = dspy.Predict("question, mood -> answer")
    session = sessionify(dspy.Predict("question, mood -> answer"))
    bare.demos = session.predictors()[0].demos = demos
    with dspy.context(adapter=OWN[adapter]()):
        bare(question="now", mood="good")
        session(question="first", mood="bad")
        session(question="now", mood="good")
    of_bare, of_session = stub.prompts[0].messages, stub.prompts[-1].messages
    assert of_session[:-3] == of_bare[:-1]
    assert of_session[-1] == of_bare[-1]


@pytest.mark.parametrize("adapter", OTHER)
def test_other_adapters_are_left_to_themselves(adapter: str) -> None:
    stub = StubModel(lambda prompt: dict.fromkeys(prompt.outputs, "said") or "said")
    bare = dspy.Predict("question, history: dspy.History -> answer")
    session = sessionify(dspy.Predict("question -> answer"))
    messages: list[dict[str, Any]] = []
    with dspy.context(lm=stub.lm, adapter=OTHER[adapter]()):
        for number in range(3):
            expected = bare(question=f"q{number}", history=dspy.History(messages=list(messages)))
            session(question=f"q{number}")
            messages.append({"question": f"q{number}", "answer": expected.answer})
    of_bare, of_session = stub.prompts[-2:]
    assert of_session.messages == of_bare.messages
    assert "q0" in of_session.text
    assert "q1" in of_session.text


@pytest.mark.parametrize("adapter", ALL)
@pytest.mark.parametrize("program", PROGRAMS)
def test_history_is_in_the_prompt_with_every_adapter(adapter: str, program: str) -> None:
    stub = numbered()
    with dspy.context(lm=stub.lm, adapter=ALL[adapter]()):
        session = sessionify(PROGRAMS[program]())
        said = [session(question=f"question {number}") for number in range(3)]
    answers = [str(one if isinstance(one, str) else one.answer) for one in said]
    prompt = next(p for p in reversed(stub.prompts) if "verbatim" not in p.system)
    text = "\n".join(message["content"] for message in prompt.messages)
    places = [text.index(words) for words in ("question 0", answers[0], "question 1", answers[1], "question 2")]
    assert places == sorted(places)
    assert text.count("question 0") == 1


def test_a_predictor_with_an_adapter_of_its_own() -> None:
    adapter = TemplateAdapter(messages=[{"role": "user", "content": "Q: {question}"}], parse_mode="full_text")
    stub = StubModel(lambda prompt: f"said {len(stub.prompts)}")
    with dspy.context(lm=stub.lm):
        native = sessionify(TemplatePredict("question -> answer", adapter=adapter))
        program = Plain()
        program.ask = TemplatePredict("question -> answer", adapter=adapter)
        text = sessionify(program)
        for session in (native, text):
            session(question="FIRST")
            session(question="SECOND")
            last = "\n".join(message["content"] for message in stub.prompts[-1].messages)
            assert last.index("FIRST") < last.index("said") < last.index("Q: SECOND")


class Blocks(dspy.ChatAdapter):
    """Sends parts, and shows the question alone."""

    def format(self, signature: type[dspy.Signature], demos: list[Any], inputs: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"role": "user", "content": [{"type": "text", "text": f"Q: {inputs['question']}"}]}]


class Continuing(dspy.ChatAdapter):
    """Has no user message at all."""

    def format(self, signature: type[dspy.Signature], demos: list[Any], inputs: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"role": "assistant", "content": f"Somebody asked me {inputs['question']}, and"}]


class Quoting(dspy.ChatAdapter):
    """Shows all inputs, as JSON."""

    def format(self, signature: type[dspy.Signature], demos: list[Any], inputs: dict[str, Any]) -> list[dict[str, Any]]:
        shown = {name: value for name, value in inputs.items() if isinstance(value, str)}
        return [{"role": "user", "content": json.dumps(shown)}]


@pytest.mark.parametrize("adapter", [Blocks, Continuing, Quoting])
def test_an_adapter_that_leaves_the_conversation_out_says_it_all_the_same(adapter: type[dspy.Adapter]) -> None:
    stub = StubModel(lambda _: f"[[ ## answer ## ]]\nreply {len(stub.prompts)}\n\n[[ ## completed ## ]]")
    session = sessionify(Plain())
    with dspy.context(lm=stub.lm, adapter=adapter()):
        session(question='FIRST "quoted"\nof two lines')
        session(question="SECOND")
    assert stub.prompts[-1].text.count("FIRST") == 1
    assert stub.prompts[-1].text.count("FINAL reply 1") == 1
    assert "SECOND" in stub.prompts[-1].text


def test_changing_adapters_between_turns_renders_anew() -> None:
    stub = numbered()
    session = sessionify(dspy.Predict("question -> answer"))
    with dspy.context(lm=stub.lm):
        session(question="one")
        for adapter in ("JSON", "XML", "Chat", "JSON"):
            with dspy.context(adapter=OWN[adapter]()):
                session(question="more")
                said = stub.prompts[-1].messages[1]["content"]
            assert said.startswith({"JSON": "{", "XML": "<answer>", "Chat": "[[ ## answer"}[adapter])


# --- falling back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("adapter", ["Chat", "XML"])
async def test_after_a_reply_that_cannot_be_read_json_is_asked_for_with_the_history(adapter: str, program: str) -> None:
    def reply(prompt: Prompt) -> Any:
        broken = "SECOND" in prompt.last and prompt.style != "json"
        return "<no idea" if broken else {"answer": "fine"}

    stub = StubModel(reply)
    with dspy.context(lm=stub.lm, adapter=OWN[adapter]()):
        session = sessionify(PROGRAMS[program]())
        session(question="FIRST")
        session(question="SECOND")
        await session.acall(question="SECOND again")
    assert [prompt.style == "json" for prompt in stub.prompts] == [False, False, True, False, True]
    for prompt in stub.prompts[1:]:
        assert "FIRST" in prompt.text
    assert len(session) == 3


# --- values of every kind -------------------------------------------------------------------------------------------

PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


class Seeing(dspy.Signature):
    """Look."""

    picture: dspy.Image = dspy.InputField()
    more: list[dspy.Image] = dspy.InputField()
    question: str = dspy.InputField()
    answer: str = dspy.OutputField()


class SeeingPlainly(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.look = dspy.Predict(Seeing)

    def forward(self, picture: dspy.Image, more: list[dspy.Image], question: str) -> str:
        return f"SEEN {self.look(picture=picture, more=more, question=question).answer}"


def images(prompt: Prompt) -> list[int]:
    """How many images each message has."""
    return [sum(part.type == "image" for part in message.parts) for message in prompt.request.messages]


@pytest.mark.parametrize("adapter", [*OWN, "subclass"])
def test_images_of_past_turns_survive(adapter: str) -> None:
    stub = StubModel(lambda prompt: {"answer": f"a {len(prompt.messages)}"})
    one = dspy.Image(PIXEL)
    inputs = {"picture": one, "more": [one, one]}
    with dspy.context(lm=stub.lm, adapter=ALL[adapter]()):
        session = sessionify(dspy.Predict(Seeing))
        plain = sessionify(SeeingPlainly())
        for number in range(2):
            session(question=f"q{number}", **inputs)
        assert images(stub.prompts[-1]) == [3, 0, 3]
        for number in range(2):
            plain(question=f"q{number}", **inputs)
        assert images(stub.prompts[-1]) == [6]
        assert "q0" in stub.prompts[-1].text
    assert session.turns[0].inputs["picture"] == one


class Drawing(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.say = dspy.Predict("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        table = dspy.File(file_data="data:text/csv;base64,YSxi", filename="table.csv")
        sound = dspy.Audio(data="AAAA", audio_format="wav")
        seen = dspy.Image("https://example.com/cat.png")
        pictures = [{"thumbnail": dspy.Image(PIXEL)}, seen]
        return dspy.Prediction(answer=self.say(question=question).answer, pictures=pictures, sound=sound, table=table)


def test_what_was_handed_out_as_a_file_is_named_for_no_model_takes_every_kind() -> None:
    stub = StubModel(lambda prompt: {"answer": "here it is"})
    with dspy.context(lm=stub.lm):
        session = sessionify(Drawing())
        session(question="a chart")
        session(question="and in red?")
    (told,) = (message.parts for message in stub.prompts[-1].request.messages)
    assert [part.type for part in told] == ["text"]
    for words in ("(the file table.csv)", '(a picture)"}', "(a picture: https://example.com/cat.png)", "(a recording)"):
        assert words in stub.prompts[-1].text
    assert session.turns[0].outputs["table"].file_data.endswith("YSxi")


def search(query: str) -> str:
    """Search the web."""
    return query


class Calling(dspy.Signature):
    """Use the tools."""

    question: str = dspy.InputField()
    tools: list[dspy.Tool] = dspy.InputField()
    answer: str = dspy.OutputField()
    calls: dspy.ToolCalls = dspy.OutputField()


@pytest.mark.parametrize("adapter", [dspy.ChatAdapter, dspy.JSONAdapter])
@pytest.mark.parametrize("native", [False, True], ids=["as text", "natively"])
def test_tool_calls_of_past_turns_survive_with_their_ids(adapter: type[dspy.Adapter], native: bool) -> None:
    def reply(prompt: Prompt) -> Any:
        if native:
            fields = {"answer": "looking"}
            text = (
                json.dumps(fields) if prompt.style == "json" else "[[ ## answer ## ]]\nlooking\n\n[[ ## completed ## ]]"
            )
            return [text, tool_call("search", call_id=f"call-{len(stub.prompts)}", query="Rome")]
        return {"answer": "looking", "calls": {"tool_calls": [{"name": "search", "args": {"query": "Rome"}}]}}

    stub = StubModel(reply, function_calling=native)
    tools = [dspy.Tool(search)]
    bare = dspy.Predict(Calling.append("history", dspy.InputField(), type_=dspy.History))
    session = sessionify(dspy.Predict(Calling), exclude_fields={"tools"})
    with dspy.context(lm=stub.lm, adapter=adapter(use_native_function_calling=native)):
        first = session(question="one", tools=tools)
        assert [call.args for call in first.calls.tool_calls] == [{"query": "Rome"}]
        message = {"question": "one", **first}
        session(question="two", tools=tools)
        bare(question="two", tools=tools, history=dspy.History(messages=[message]))
    of_session, of_bare = stub.prompts[-2:]
    assert [m.parts for m in of_session.request.messages] == [m.parts for m in of_bare.request.messages]
    assert of_session.request.tools == of_bare.request.tools
    kept = session.turns[0].outputs["calls"]
    assert kept == first.calls
    assert [call.id for call in kept.tool_calls] == ["call-1" if native else None]


def test_tool_calls_with_results_are_replayed_natively() -> None:
    calls = dspy.ToolCalls(
        tool_calls=[{"id": "call-9", "name": "search", "args": {"query": "Rome"}}],
        tool_call_results={"tool_call_results": [{"call_id": "call-9", "name": "search", "value": "FOUND"}]},
    )
    stub = StubModel(lambda _: [tool_call("search", query="more")], function_calling=True)
    session = sessionify(dspy.Predict(Calling), exclude_fields={"tools"})
    session.add_turn({"question": "one"}, {"answer": "looking", "calls": calls})
    with dspy.context(lm=stub.lm, adapter=dspy.ChatAdapter(use_native_function_calling=True)):
        session(question="two", tools=[dspy.Tool(search)])
    messages = stub.prompts[-1].request.messages
    assert [message.role for message in messages] == ["user", "assistant", "tool", "user"]
    assert "call-9" in str(messages[1].parts)
    assert "FOUND" in str(messages[2].parts)


class Thinking(dspy.Signature):
    """Think, then answer."""

    question: str = dspy.InputField()
    reasoning: dspy.Reasoning = dspy.OutputField()
    answer: str = dspy.OutputField()


@pytest.mark.parametrize("adapter", OWN)
def test_reasoning_of_past_turns_survives(adapter: str) -> None:
    stub = StubModel(lambda prompt: {"reasoning": f"BECAUSE {len(prompt.messages)}", "answer": "so"})
    session = sessionify(dspy.Predict(Thinking))
    bare = dspy.Predict(Thinking.append("history", dspy.InputField(), type_=dspy.History))
    with dspy.context(lm=stub.lm, adapter=OWN[adapter]()):
        first = session(question="one")
        session(question="two")
        bare(question="two", history=dspy.History(messages=[{"question": "one", **first}]))
    of_session, of_bare = stub.prompts[-2:]
    assert "BECAUSE 1" in of_session.messages[1]["content"]
    assert of_session.messages == of_bare.messages
    assert session.turns[0].outputs["reasoning"] == dspy.Reasoning(content="BECAUSE 1")


# --- what is seen of a format ---------------------------------------------------------------------------------------


def test_a_declared_history_field_is_used_under_its_own_name(stub: StubModel) -> None:
    session = sessionify(dspy.Predict("talk: dspy.History, question -> answer"))
    assert session.history_field == "talk"
    session(question="one")
    session(question="two")
    assert [message["role"] for message in stub.prompts[-1].messages] == ["user", "assistant", "user"]
    session(question="three", talk=dspy.History(messages=[{"question": "other", "answer": "past"}]))
    assert "other" in stub.prompts[-1].text
    assert "one" not in stub.prompts[-1].text


@pytest.mark.parametrize("adapter", OWN)
@pytest.mark.parametrize("program", [dspy.Predict("question -> answer"), dspy.ReAct("question -> answer", tools=[])])
def test_the_first_prompt_is_that_of_the_bare_program(stub: StubModel, adapter: str, program: dspy.Module) -> None:
    with dspy.context(adapter=OWN[adapter]()):
        program(question="one")
        bare = len(stub.prompts)
        sessionify(program)(question="one")
    assert [prompt.text for prompt in stub.prompts[bare:]] == [prompt.text for prompt in stub.prompts[:bare]]
