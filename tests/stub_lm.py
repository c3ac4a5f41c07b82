"""A language model without a provider: a real ``dspy.LM`` whose engine asks a function of yours.

    stub = StubModel(lambda prompt: {"answer": f"You asked {prompt.inputs['question']!r}"})
    with dspy.context(lm=stub.lm):
        dspy.Predict("question -> answer")(question="Who are you?")
    assert "Who are you?" in stub.prompts[-1].text

The function gets a `Prompt` (what the model is asked, read back into fields) and may be a coroutine function where
only ``acall`` is used. It returns a mapping of output fields, written the way the prompt asks (Chat, JSON, BAML, XML
or plain text; requested fields that it leaves out are filled by `echo`, others are dropped), a str to be sent as it
is, an exception, or a list of steps: a str is one streamed chunk, an event is waited for (``asyncio.Event`` under
``acall``, ``threading.Event`` under a sync call), an exception is raised there, a ``ToolCallPart`` (see `tool_call`)
or ``ThinkingPart`` is sent as such. Without a function the model is `echo`. Every request is kept in ``stub.prompts``,
also those of copies of the LM. Streaming works, caching and retries are off, tokens are counted as words.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import dspy
from dspy.lm15 import (
    Message,
    Request,
    Response,
    StreamDeltaEvent,
    StreamEndEvent,
    StreamStartEvent,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ThinkingPart,
    ToolCallDelta,
    ToolCallPart,
    Usage,
)

Step = str | TextPart | ThinkingPart | ToolCallPart | asyncio.Event | threading.Event | Exception
Answer = str | Mapping[str, Any] | Sequence[Step] | Exception
Reply = Callable[["Prompt"], Answer | Awaitable[Answer]]

_EVENT_TIMEOUT = 30.0
"""Seconds after which a test that forgot to set its event fails instead of hanging."""

_EXTRACTION = "extract the fields from the text verbatim"


@dataclass(frozen=True)
class Prompt:
    """What the model is asked, read back from the request.

    Args:
        request: The request as the engine got it.
    """

    request: Request

    @cached_property
    def messages(self) -> tuple[dict[str, str], ...]:
        """The messages after the system message: ``{"role": …, "content": …}``, where an image reads ``<image>``."""
        return tuple({"role": message.role, "content": _text(message.parts)} for message in self.request.messages)

    @cached_property
    def system(self) -> str:
        """The system message, empty when there is none."""
        system = self.request.system
        return system if isinstance(system, str) else _text(system or ())

    @cached_property
    def text(self) -> str:
        """Everything that the model reads."""
        return "\n\n".join([self.system, *(message["content"] for message in self.messages)])

    @cached_property
    def last(self) -> str:
        """The last message."""
        return self.messages[-1]["content"]

    @cached_property
    def inputs(self) -> dict[str, str]:
        """The input fields in the last message by name; empty where the adapter writes none that can be told apart."""
        if self.style == "xml":
            found = re.findall(r"^<(\w+)>\n(.*?)\n</\1>", self.last, re.DOTALL | re.MULTILINE)
            return dict(found)
        question = re.split(r"\n\s*\nRespond with ", self.last)[0]
        pieces = re.split(r"^\[\[ ## (\w+) ## \]\]\s*$", question, flags=re.MULTILINE)[1:]
        return {name: value.strip() for name, value in zip(pieces[::2], pieces[1::2], strict=True)}

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The requested output fields: name to type as it stands in the prompt, such as ``list[int]``."""
        parts = re.split(r"^Your output(?:s must contain| fields are):$", self.system, flags=re.MULTILINE)
        if len(parts) < 2:
            return {}
        listing = re.split(r"^(?:All interactions will be|You should lay out)", parts[1], flags=re.MULTILINE)[0]
        fields: dict[str, str] = {}
        for number, name, kind in re.findall(r"^(\d+)\. `(\w+)` \((.*?)\):", listing, re.MULTILINE):
            if int(number) == len(fields) + 1:  # else it is a list inside a field's description
                fields[name] = kind
        return fields

    @property
    def style(self) -> Literal["chat", "json", "xml", "plain"]:
        """How the answer must be written."""
        if "Respond with a JSON object" in self.last or self.request.config.response_format is not None:
            return "json"
        if "wrapped in XML tags" in self.last:
            return "xml"
        return "chat" if "[[ ## completed ## ]]" in self.system else "plain"


def echo(prompt: Prompt) -> dict[str, Any]:
    """Fill every requested field from the prompt: text repeats the inputs and counts what was said before."""
    heard = " | ".join(prompt.inputs.values()) or prompt.last
    before = sum(message["role"] == "user" for message in prompt.messages[:-1])
    return {name: _sample(kind, f"{heard} (after {before} messages)") for name, kind in prompt.outputs.items()}


def tool_call(name: str, /, *, call_id: str = "call_1", **arguments: Any) -> ToolCallPart:
    """A native tool call, for the steps of a reply; needs ``StubModel(…, function_calling=True)``."""
    return ToolCallPart(id=call_id, name=name, input=arguments)


class StubModel:
    """A model that answers with a function.

    Args:
        reply: What it says; see the top of this file.
        chunk_size: Characters in a streamed chunk of a reply that is no list of steps; None streams word by word.
        function_calling: Whether the model takes tools natively.
        response_schema: Whether the model takes a JSON schema, as JSONAdapter asks first.
        model: The name of the LM.
        options: Options of ``dspy.LM``; caching and retries are off unless they say otherwise.
    """

    def __init__(
        self,
        reply: Reply = echo,
        *,
        chunk_size: int | None = None,
        function_calling: bool = False,
        response_schema: bool = False,
        model: str = "stub/stub",
        **options: Any,
    ) -> None:
        self.prompts: list[Prompt] = []
        self._reply = reply
        self._chunk_size = chunk_size
        self.engine = _Engine(self, function_calling=function_calling, response_schema=response_schema)
        self.async_engine = _AsyncEngine(self)
        options = {"cache": False, "num_retries": 0, **options}
        self.lm = dspy.LM(model, engine=self.engine, async_engine=self.async_engine, **options)

    def __deepcopy__(self, memo: dict[int, Any]) -> StubModel:
        """Copies of an LM go on talking to the same model, as they do with a provider."""
        return self

    def ask(self, request: Request) -> list[Step]:
        """The steps of the answer to ``request``, from a sync call."""
        prompt = self._record(request)
        answer = self._answer(prompt)
        if inspect.isawaitable(answer):
            if inspect.iscoroutine(answer):
                answer.close()
            raise TypeError("the stub's reply is a coroutine function, so only acall can use it")
        return self._steps(prompt, answer)

    async def aask(self, request: Request) -> list[Step]:
        """The steps of the answer to ``request``, from an async call."""
        prompt = self._record(request)
        answer = self._answer(prompt)
        return self._steps(prompt, await answer if inspect.isawaitable(answer) else answer)

    def _record(self, request: Request) -> Prompt:
        prompt = Prompt(request)
        self.prompts.append(prompt)
        return prompt

    def _answer(self, prompt: Prompt) -> Answer | Awaitable[Answer]:
        # TwoStepAdapter asks twice; its second question is only about the first answer, so it needs no reply.
        return _extract(prompt) if _EXTRACTION in prompt.system else self._reply(prompt)

    def _steps(self, prompt: Prompt, answer: Answer) -> list[Step]:
        if isinstance(answer, Exception):
            return [answer]
        if isinstance(answer, Mapping):
            answer = _write(prompt, answer)
        if not isinstance(answer, str):
            return list(answer)
        if self._chunk_size is None:
            return re.findall(r"\S+\s*|\s+", answer)
        return [answer[start : start + self._chunk_size] for start in range(0, len(answer), self._chunk_size)]


class _Engine:
    """The sync half of DSPy's engine contract."""

    def __init__(self, stub: StubModel, *, function_calling: bool = False, response_schema: bool = False) -> None:
        self.stub = stub
        self.supports_function_calling = function_calling
        self.supports_response_schema = response_schema
        self.supported_params = ("response_format", "tools", "tool_choice") if response_schema else ("tools",)

    def dump_state(self) -> dict[str, Any]:
        """Functions are not saved: a loaded stub is an echo."""
        return {}

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> _Engine:
        return cls(StubModel())

    def complete(self, request: Request) -> Response:
        said = []
        for step in self.stub.ask(request):
            _wait(step)
            said.append(step)
        return _response(request, said)

    def stream(self, request: Request) -> Iterator[Any]:
        steps = self.stub.ask(request)
        yield StreamStartEvent(model=request.model)
        for step, index in zip(steps, _part_indexes(steps), strict=True):
            _wait(step)
            if delta := _delta(step, index):
                yield delta
        yield _end(request, steps)

    def close(self) -> None:
        """Nothing is open."""


class _AsyncEngine:
    """The async half of DSPy's engine contract."""

    def __init__(self, stub: StubModel) -> None:
        self.stub = stub

    def dump_state(self) -> dict[str, Any]:
        """Functions are not saved: a loaded stub is an echo."""
        return {}

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> _AsyncEngine:
        return cls(StubModel())

    async def complete(self, request: Request) -> Response:
        said = []
        for step in await self.stub.aask(request):
            await _await(step)
            said.append(step)
        return _response(request, said)

    async def stream(self, request: Request) -> AsyncIterator[Any]:
        steps = await self.stub.aask(request)
        yield StreamStartEvent(model=request.model)
        for step, index in zip(steps, _part_indexes(steps), strict=True):
            await _await(step)
            if delta := _delta(step, index):
                yield delta
            await asyncio.sleep(0)  # a network would let other tasks run between two chunks
        yield _end(request, steps)

    async def aclose(self) -> None:
        """Nothing is open."""


def _text(parts: Sequence[Any]) -> str:
    return "".join(part.text if isinstance(part, TextPart | ThinkingPart) else f"<{part.type}>" for part in parts)


def _sample(kind: str, text: str) -> Any:
    if choices := re.findall(r"'([^']*)'", kind) if kind.startswith("Literal") else []:
        return "finish" if "finish" in choices else choices[0]
    for start, value in (("int", 1), ("float", 1.0), ("bool", True), ("list", []), ("dict", {})):
        if kind.startswith(start):
            return value
    return text


def _extract(prompt: Prompt) -> dict[str, Any]:
    names = "|".join(prompt.outputs)
    pieces = re.split(rf"^({names}): ", prompt.inputs["text"], flags=re.MULTILINE)[1:]
    return {name: value.strip() for name, value in zip(pieces[::2], pieces[1::2], strict=True)}


def _write(prompt: Prompt, fields: Mapping[str, Any]) -> str:
    if prompt.outputs:
        filled = {**echo(prompt), **fields}
        fields = {name: filled[name] for name in prompt.outputs}
    if prompt.style == "json":
        return json.dumps(fields, ensure_ascii=False)
    if prompt.style == "xml":
        return "\n\n".join(_element(name, value) for name, value in fields.items())
    if prompt.style == "chat":
        sections = [f"[[ ## {name} ## ]]\n{_plain(value)}" for name, value in fields.items()]
        return "\n\n".join([*sections, "[[ ## completed ## ]]"])
    if len(fields) == 1 and not prompt.outputs:
        return _plain(*fields.values())
    return "\n".join(f"{name}: {_plain(value)}" for name, value in fields.items())


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _element(name: str, value: Any) -> str:
    if isinstance(value, list):
        return f"<{name}>{''.join(_element('item', item) for item in value)}</{name}>"
    if isinstance(value, dict):
        return f"<{name}>{''.join(_element(key, item) for key, item in value.items())}</{name}>"
    return f"<{name}>\n{_plain(value)}\n</{name}>"


def _wait(step: Step) -> None:
    if isinstance(step, Exception):
        raise step
    if isinstance(step, asyncio.Event):
        raise TypeError("a sync call waits for a threading.Event, not an asyncio.Event")
    if isinstance(step, threading.Event) and not step.wait(_EVENT_TIMEOUT):
        raise TimeoutError("the event that the stub's reply waits for was never set")


async def _await(step: Step) -> None:
    if isinstance(step, Exception):
        raise step
    if isinstance(step, threading.Event):
        raise TypeError("acall waits for an asyncio.Event, not a threading.Event")
    if isinstance(step, asyncio.Event):
        async with asyncio.timeout(_EVENT_TIMEOUT):
            await step.wait()


def _parts(steps: Sequence[Step]) -> list[Any]:
    """The parts of the whole message: neighbouring texts are one part."""
    parts: list[Any] = []
    for step in steps:
        if isinstance(step, str | TextPart):
            text = step if isinstance(step, str) else step.text
            if parts and isinstance(parts[-1], TextPart):
                text = parts.pop().text + text
            parts.append(TextPart(text))
        elif isinstance(step, ThinkingPart | ToolCallPart):
            parts.append(step)
    return parts or [TextPart("")]


def _part_indexes(steps: Sequence[Step]) -> list[int]:
    """For each step the index of its part in the whole message, as `_parts` makes them."""
    indexes = []
    index, in_text = -1, False
    for step in steps:
        if isinstance(step, str | TextPart):
            index += not in_text
            in_text = True
        elif isinstance(step, ThinkingPart | ToolCallPart):
            index += 1
            in_text = False
        indexes.append(index)
    return indexes


def _delta(step: Step, index: int) -> StreamDeltaEvent | None:
    if isinstance(step, str | TextPart):
        text = step if isinstance(step, str) else step.text
        return StreamDeltaEvent(delta=TextDelta(text=text, part_index=index))
    if isinstance(step, ThinkingPart):
        return StreamDeltaEvent(delta=ThinkingDelta(text=step.text, part_index=index))
    if isinstance(step, ToolCallPart):
        arguments = json.dumps(step.input)
        return StreamDeltaEvent(delta=ToolCallDelta(input=arguments, part_index=index, id=step.id, name=step.name))
    return None


def _finish(parts: Sequence[Any]) -> Literal["stop", "tool_call"]:
    return "tool_call" if any(isinstance(part, ToolCallPart) for part in parts) else "stop"


def _usage(request: Request, parts: Sequence[Any]) -> Usage:
    return Usage(input_tokens=len(Prompt(request).text.split()), output_tokens=len(_text(parts).split()))


def _response(request: Request, steps: Sequence[Step]) -> Response:
    parts = _parts(steps)
    message = Message.assistant(parts)
    return Response(
        id=None, model=request.model, message=message, finish_reason=_finish(parts), usage=_usage(request, parts)
    )


def _end(request: Request, steps: Sequence[Step]) -> StreamEndEvent:
    parts = _parts(steps)
    return StreamEndEvent(finish_reason=_finish(parts), usage=_usage(request, parts))
