"""How a predictor's prompt shows what was said before.

A message whose fields are the predictor's own becomes a pair of chat messages, as DSPy renders a ``dspy.History``. Any
other message (a ReAct step reads the conversation around it, a rewriter reads answers it did not give) would come out of
DSPy with outputs made up as ``None`` or left out; it is shown as text in an input field instead, in order, with nothing
added and nothing missing. DSPy's own adapters render each message once and are given it from then on.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import dspy
from dspy.adapters.baml_adapter import BAMLAdapter
from dspy.adapters.utils import format_field_value

from dspy_session.history import Message, Snapshot, messages_of
from dspy_session.turn import Record

Signature = type[dspy.Signature]
Shown = tuple[Record, tuple[str, ...]]

_KNOWN = frozenset({dspy.ChatAdapter, dspy.JSONAdapter, dspy.XMLAdapter, dspy.TwoStepAdapter, BAMLAdapter})
_MARKER = "<<CUSTOM-TYPE-START-IDENTIFIER>>"
_NOTHING_YET = "(nothing yet)"
_BY_PRODUCTS = frozenset({"trajectory"})


@dataclass(frozen=True, slots=True)
class Layout:
    """What one predictor is shown of a conversation.

    Args:
        signature: The predictor's signature with the fields that carry it.
        plain: The predictor's own signature.
        history_field: Name of the field for ``own``; empty when there is none.
        own: The messages that the predictor's fields can express, each as its record and the names that it shows.
        text_field: Name of the field for ``text``; empty when there is none.
        text: Everything else, as text.
    """

    signature: Signature
    plain: Signature
    history_field: str
    own: tuple[Shown, ...]
    text_field: str
    text: str

    def messages(self) -> list[Message]:
        """``own`` as copies."""
        return [message for record, names in self.own for message in messages_of((record,), record.shape, names)]


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
        return frozenset() if self.trajectories else _BY_PRODUCTS

    def __contains__(self, name: str) -> bool:
        if name in _BY_PRODUCTS:
            return self.trajectories
        return self.fields is None or name in self.fields


# --- signatures ---------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _with_fields(signature: Signature, instructions: str, history_field: str, text_field: str) -> Signature:
    # The instructions are part of the key because DSPy lets people assign them on a signature that stands.
    if text_field:
        field = dspy.InputField(desc="the conversation so far, oldest first")
        signature = signature.prepend(text_field, field, type_=str)
    if history_field:
        signature = signature.append(history_field, dspy.InputField(), type_=dspy.History)
    return signature


def with_fields(signature: Signature, history_field: str = "", text_field: str = "") -> Signature:
    """The signature with a ``dspy.History`` field and a text field added, the same object each time."""
    if history_field in signature.input_fields:
        history_field = ""
    if not history_field and not text_field:
        return signature
    return _with_fields(signature, signature.instructions, history_field, text_field)


@lru_cache(maxsize=1024)
def _without_field(signature: Signature, instructions: str, field: str) -> Signature:
    return signature.delete(field)


def without_field(signature: Signature, field: str) -> Signature:
    """The signature without one of its fields, the same object each time."""
    return _without_field(signature, signature.instructions, field) if field in signature.fields else signature


# --- from a snapshot to a layout ------------------------------------------------------------------------------------


def lay_out(saw: Snapshot, memory: str, signature: Signature, field: str, spoken: Spoken) -> Layout:
    """What a predictor of ``signature`` is shown of a call's history.

    Args:
        saw: The call's history.
        memory: Long-term memory, shown first; empty when there is none.
        signature: The predictor's own signature.
        field: Name of its history field.
        spoken: Which fields are the conversation itself.
    """
    messages = saw.shown()
    own = _own(messages, signature, spoken)
    text = _as_text(memory, messages[: len(messages) - len(own)], spoken)
    declared = _history_field(signature)
    history_field = (declared or field) if own or declared else ""
    text_field = ""
    if text:
        text_field = field if not history_field and field not in signature.fields else _free_name(signature, field)
    return Layout(with_fields(signature, history_field, text_field), signature, history_field, own, text_field, text)


def _own(messages: Sequence[Shown], signature: Signature, spoken: Spoken) -> tuple[Shown, ...]:
    """The newest messages, as many in a row as the predictor's own fields can express."""
    outputs = frozenset(signature.output_fields)
    own: list[Shown] = []
    names = fitting = None
    for record, shown in reversed(messages):
        if shown is not names:
            names, fitting = shown, _fitting(shown, frozenset(signature.input_fields), outputs, spoken)
        if fitting is None or any(record.fields[name] is None for name in outputs):
            break
        own.append((record, fitting))
    return tuple(reversed(own))


def _fitting(
    names: tuple[str, ...], inputs: frozenset[str], outputs: frozenset[str], spoken: Spoken
) -> tuple[str, ...] | None:
    """What a predictor's own fields show of a message; None if they cannot express all that was said."""
    if not outputs.issubset(names) or any(name in spoken and name not in inputs | outputs for name in names):
        return None
    fitting = tuple(name for name in names if name in outputs or (name in inputs and name in spoken))
    return names if fitting == names else fitting


def _history_field(signature: Signature) -> str:
    return next((name for name, field in signature.input_fields.items() if field.annotation is dspy.History), "")


def _free_name(signature: Signature, field: str) -> str:
    names = ("conversation", f"{field}_text", f"{field}_before")
    return next(name for name in names if name not in signature.fields)


def _as_text(memory: str, messages: Sequence[Shown], spoken: Spoken) -> str:
    parts = [f"What is remembered from before:\n{_indented(memory)}"] if memory else []
    for record, names in messages:
        values = record.fields
        said = [name for name in names if name in spoken] or list(names)
        lines = [f"{name}: {_indented(_text_of(values[name]))}" for name in said if values[name] is not None]
        if lines:
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _indented(text: str) -> str:
    """Lines after the first stand further right, so that what somebody said cannot pass for the next speaker."""
    return text.replace("\n", "\n  ")


@lru_cache(maxsize=1)
def _text_field_info() -> Any:
    return dspy.Signature("value -> text").input_fields["value"]


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
    if not layout.text_field:
        return demos
    return [demo if layout.text_field in demo else {**demo, layout.text_field: _NOTHING_YET} for demo in demos]


def remembering(adapter: dspy.Adapter, layout: Layout, history: dspy.History) -> dspy.Adapter | None:
    """A copy of one of DSPy's own adapters that renders each message of ``history`` once in its life.

    Returns:
        The copy, for one call; None for an adapter whose rendering is not known, and which is left to itself.
    """
    kind = type(adapter)
    if kind not in _KNOWN:
        return None
    field = layout.history_field

    def format(signature: Signature, demos: list[dict[str, Any]], inputs: dict[str, Any]) -> list[dict[str, Any]]:
        if inputs.get(field) is not history:
            return kind.format(adapter, signature, demos, inputs)  # type: ignore[no-any-return]
        plain = without_field(signature, field)
        rest = {name: value for name, value in inputs.items() if name != field}
        messages = kind.format(adapter, plain, demos, rest)
        end = len(messages) - 1 if messages and messages[-1]["role"] == "user" else len(messages)
        said = [dict(message) for record, names in layout.own for message in _rendered(adapter, plain, record, names)]
        return [*messages[:end], *said, *messages[end:]]

    twin = copy.copy(adapter)  # the same class: DSPy's streaming goes by the adapter's exact class
    twin.format = format
    return twin


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
