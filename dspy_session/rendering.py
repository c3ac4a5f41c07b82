"""How a predictor's prompt shows what was said before.

Messages whose fields are the predictor's own become pairs of chat messages, as DSPy renders a ``dspy.History``. Others
(a ReAct step reads the conversation around it, a rewriter reads answers it did not give) would come out of DSPy with
outputs made up as ``None`` or left out; the conversation is shown as text in an input field instead, in order, with
nothing added and nothing missing. DSPy's own adapters render each message once and are given it from then on.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import dspy
from dspy.adapters.baml_adapter import BAMLAdapter
from dspy.adapters.utils import format_field_value

from dspy_session.history import Message, Snapshot, message_of
from dspy_session.signatures import Signature, as_signature, free_name, names_of, with_fields, without_field
from dspy_session.turn import Record

Shown = tuple[Record, tuple[str, ...]]

_KNOWN = frozenset({dspy.ChatAdapter, dspy.JSONAdapter, dspy.XMLAdapter, dspy.TwoStepAdapter, BAMLAdapter})
_MARKER = "<<CUSTOM-TYPE-START-IDENTIFIER>>"
NOTHING_YET = "(nothing yet)"
_TEXT_FIELD = "conversation"
_BY_PRODUCTS = frozenset({"trajectory", "final_reasoning", "termination_reason"})
"""What DSPy's agents return beside the answer."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What one predictor is shown of a conversation.

    Args:
        plain: The predictor's own signature.
        own: The messages, each as its record and the names that it shows, if the predictor's fields can express them.
        whole: True when ``own`` is all that the history's messages show.
        text_field: Name of the field for ``text``.
        text: What ``own`` does not say, as text.
    """

    plain: Signature
    own: Sequence[Shown]
    whole: bool
    text_field: str
    text: str

    def messages(self) -> list[Message]:
        """``own`` as copies."""
        return [message_of(record, names) for record, names in self.own]


@dataclass(frozen=True, slots=True)
class Spoken:
    """Which fields are the conversation itself.

    Args:
        fields: The names of the program's own inputs and outputs; None when it declares none, and then all are.
        trajectories: True when past trajectories are asked for.
    """

    fields: frozenset[str] | None = None
    trajectories: bool = False

    @property
    def left_out(self) -> frozenset[str]:
        """Names of fields that no prompt shows."""
        return frozenset() if self.trajectories else _BY_PRODUCTS - (self.fields or frozenset())

    def __contains__(self, name: str) -> bool:
        return name not in self.left_out and (self.fields is None or name in self.fields or name in _BY_PRODUCTS)


# --- from a snapshot to a layout ------------------------------------------------------------------------------------


def lay_out(saw: Snapshot, memory: str, signature: Signature, spoken: Spoken) -> Layout:
    """What a predictor of ``signature`` is shown of a call's history.

    Args:
        saw: The call's history.
        memory: Long-term memory, shown first; empty when there is none.
        signature: The predictor's own signature.
        spoken: Which fields are the conversation itself.
    """
    messages = saw.shown()
    own = _own(messages, signature, spoken)
    # All or nothing: text beside chat messages would stand after what was said later.
    text = _as_text(memory, () if own else messages, spoken)
    return Layout(signature, own, own is messages, free_name(signature, _TEXT_FIELD), text)


def _own(messages: Sequence[Shown], signature: Signature, spoken: Spoken) -> Sequence[Shown]:
    """The messages in the predictor's own fields; none if those cannot express all of them."""
    inputs, outputs = names_of(signature)
    whole = True
    names = None
    for record, shown in messages:
        if shown is not names:
            names, fitting = shown, _fitting(shown, inputs, outputs, spoken)
            if fitting is None:
                return ()
            whole = whole and fitting is shown
        for name in outputs:
            if record.fields[name] is None:
                return ()
    if whole:
        return messages
    return [(record, _fitting(shown, inputs, outputs, spoken) or ()) for record, shown in messages]


@lru_cache(maxsize=1024)
def _fitting(
    names: tuple[str, ...], inputs: frozenset[str], outputs: frozenset[str], spoken: Spoken
) -> tuple[str, ...] | None:
    """What a predictor's own fields show of a message; None if they cannot express all that was said."""
    said = [name for name in names if name in spoken]
    if not outputs.issubset(names) or not (inputs | outputs).issuperset(said):
        return None
    fitting = tuple(name for name in names if name in outputs or name in said)
    return names if fitting == names else fitting


def _as_text(memory: str, messages: Sequence[Shown], spoken: Spoken) -> str:
    parts = [f"What is remembered from before:\n{_indented(memory)}"] if memory else []
    for record, names in messages:
        values = record.fields
        said = [name for name in names if name in spoken] or list(names)
        told = {name: _handed_out(values[name]) for name in record.shape.outputs if name in said}
        told = {name: values[name] for name in said} | told
        lines = [f"{name}: {_indented(_text_of(value))}" for name, value in told.items() if value is not None]
        if lines:
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _handed_out(value: Any) -> Any:
    """An output as it is told: of files, what they are. No model takes every kind, and what one refuses in a history
    it refuses with all that is said from then on.
    """
    if isinstance(value, dspy.File):
        return f"(the file {value.filename})" if value.filename else "(a file)"
    if isinstance(value, dspy.Image):
        return f"(a picture: {value.url})" if value.url.startswith("http") else "(a picture)"
    if isinstance(value, dspy.Audio):
        return "(a recording)"
    if isinstance(value, dict):
        return {name: _handed_out(each) for name, each in value.items()}
    return [_handed_out(each) for each in value] if isinstance(value, (list, tuple)) else value


def _indented(text: str) -> str:
    """Lines after the first stand further right, so that what somebody said cannot pass for the next speaker."""
    return text.replace("\n", "\n  ")


@lru_cache(maxsize=1)
def _text_field_info() -> Any:
    return as_signature("value -> text").input_fields["value"]


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dspy.Type):
        return str(format_field_value(_text_field_info(), value))
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(format_field_value(_text_field_info(), value))


# --- adapters -----------------------------------------------------------------------------------------------------


def demos_for(layout: Layout, demos: Sequence[Any]) -> Sequence[Any]:
    """The demos, complete for a signature that has a text field."""
    return [demo if layout.text_field in demo else {**demo, layout.text_field: NOTHING_YET} for demo in demos]


def is_known(adapter: dspy.Adapter) -> bool:
    """True for DSPy's own adapters, whose rendering of a history can be done a message at a time."""
    return type(adapter) in _KNOWN


def remembering(adapter: dspy.Adapter, layout: Layout, field: str, history: dspy.History) -> dspy.Adapter:
    """A copy of one of DSPy's own adapters, for one call, that renders each message of ``history`` once in its life.

    Args:
        adapter: The adapter.
        layout: What ``history`` was made from.
        field: Name of the history field.
        history: The history that the adapter will be given.
    """
    kind = type(adapter)

    def render(signature: Signature, demos: list[dict[str, Any]], inputs: dict[str, Any]) -> list[dict[str, Any]]:
        if inputs.get(field) is not history:
            return kind.format(adapter, signature, demos, inputs)
        plain = without_field(signature, field)
        rest = {name: value for name, value in inputs.items() if name != field}
        messages = kind.format(adapter, plain, demos, rest)
        end = len(messages) - 1 if messages and messages[-1]["role"] == "user" else len(messages)
        said = [dict(message) for record, names in layout.own for message in _rendered(adapter, plain, record, names)]
        return [*messages[:end], *said, *messages[end:]]

    return _rendering(adapter, render)


def insisting(adapter: dspy.Adapter, text: str) -> dspy.Adapter:
    """A copy of somebody's adapter, for one call, that says ``text``.

    A template names the fields that it shows; what was said before is not among them. What the adapter leaves out comes
    first in the last user message.
    """
    kind = type(adapter)

    def render(signature: Signature, demos: list[dict[str, Any]], inputs: dict[str, Any]) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = kind.format(adapter, signature, demos, inputs)
        if any(_says(message, text) for message in messages):
            return messages
        places = [place for place, message in enumerate(messages) if message["role"] == "user"]
        if not places:
            return [*messages, {"role": "user", "content": text}]
        last = messages[places[-1]]
        content = last["content"]
        begun = f"{text}\n\n{content}" if isinstance(content, str) else [{"type": "text", "text": text}, *content]
        return [*messages[: places[-1]], {**last, "content": begun}, *messages[places[-1] + 1 :]]

    return _rendering(adapter, render)


def _rendering(adapter: dspy.Adapter, render: Callable[..., list[dict[str, Any]]]) -> dspy.Adapter:
    """A copy of an adapter, of the same class as others go by it, that formats with ``render``."""
    twin = copy.copy(adapter)
    vars(twin)["format"] = render
    return twin


def _says(message: Mapping[str, Any], text: str) -> bool:
    content = json.dumps(message["content"], ensure_ascii=False, default=str)
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    return written in content or json.dumps(written, ensure_ascii=False)[1:-1] in content


def _rendered(adapter: dspy.Adapter, plain: Signature, record: Record, names: tuple[str, ...]) -> list[dict[str, Any]]:
    depends_on = (plain, type(adapter), adapter.use_native_function_calling, names)
    known = record.rendered
    if known is not None and known[0] == depends_on:
        rendered: list[dict[str, Any]] = known[1]
        return rendered
    field = "history"
    while field in plain.fields:
        field += "_"
    history = dspy.History.model_construct(messages=[{name: record.fields[name] for name in names}])
    rendered = adapter.format_conversation_history(plain, field, {field: history})
    if _MARKER in str(rendered) and type(adapter) is not dspy.TwoStepAdapter:
        # Images and the like become parts of a message only in the adapter's whole rendering.
        whole = type(adapter).format(adapter, with_fields(plain, field), [], {field: history})
        rendered = whole[1 : len(rendered) + 1]
    record.rendered = (depends_on, rendered)
    return rendered
