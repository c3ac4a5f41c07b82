"""How one call of a predictor goes: from the caller's arguments to those of ``dspy.Predict``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from dspy_session import rendering
from dspy_session.binding import bindings, own_signature, visit
from dspy_session.frame import Frame
from dspy_session.pipe import Reply, reply_of, second_adapter
from dspy_session.rendering import Layout
from dspy_session.signatures import Signature, as_signature, field_for, own_part, with_fields, without_field

_NEWEST = 64
"""How far back a call looks for its own entry in the trace: other threads may have written there since."""


class Arranging(dspy.Predict):
    """Where a reached predictor's ``forward`` ends up: between its own class and ``dspy.Predict``.

    So a ``forward`` that a subclass brings is called with what it would be called with anyway.
    """

    def forward(self, **kwargs: Any) -> Any:
        """One call."""
        with _arranged(self, kwargs, waits=True) as call:
            try:
                return dspy.Predict.forward(self, **call.kwargs)
            except AdapterParseError as error:
                with call.second_attempt(error):
                    return dspy.Predict.forward(self, **call.kwargs)

    async def aforward(self, **kwargs: Any) -> Any:
        """One call, from a task."""
        with _arranged(self, kwargs, waits=False) as call:
            try:
                return await dspy.Predict.aforward(self, **call.kwargs)
            except AdapterParseError as error:
                with call.second_attempt(error):
                    return await dspy.Predict.aforward(self, **call.kwargs)


def listed(predictor: dspy.Predict) -> Signature:
    """A reached predictor's signature with the fields that carry the conversation; the history's is always there."""
    own = own_signature(predictor)
    visited = visit(predictor)
    if visited is None:
        binding = next(reversed([*bindings(predictor).values()]), None)
        return own if binding is None else with_fields(own, binding.field)
    frame, binding = visited
    layout = _layout(frame, own, binding.field, binding.declared)
    return with_fields(own, binding.field, layout.text_field if layout.text else "")


@dataclass(frozen=True, slots=True)
class _Call:
    """How one call goes.

    Args:
        kwargs: What ``dspy.Predict.forward`` is called with.
        settings: DSPy settings for the time of the call.
        unsaid: A history without messages, which does not belong in the trace.
        reply: Where the reply goes piece by piece; None when it does not.
    """

    kwargs: dict[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    unsaid: dspy.History | None = None
    reply: Reply | None = None

    def second_attempt(self, error: AdapterParseError) -> AbstractContextManager[None]:
        """The settings for asking again after a reply that could not be read; raises ``error`` if that is all."""
        adapter = second_adapter(self.reply, error)
        if adapter is None:
            raise error
        return dspy.context(adapter=adapter, send_stream=None)


@contextmanager
def _arranged(predictor: dspy.Predict, given: dict[str, Any], *, waits: bool) -> Iterator[_Call]:
    """A call under way.

    Args:
        predictor: The predictor that is called.
        given: The caller's arguments.
        waits: True when the call is synchronous.
    """
    call = _arrange(predictor, given)
    reply = reply_of(predictor, waits=waits)
    if reply is not None:
        call = replace(call, reply=reply, settings={**call.settings, "send_stream": reply})
    with dspy.context(**call.settings) if call.settings else nullcontext():
        yield call
    if reply is not None:
        reply.end()
    _mend_trace(predictor, call.unsaid)


def _arrange(predictor: dspy.Predict, given: dict[str, Any]) -> _Call:
    kwargs = dict(given)
    signature = kwargs.pop("signature", None)
    own = own_signature(predictor) if signature is None else own_part(as_signature(signature))
    visited = visit(predictor)
    if visited is None:
        return _Call({**kwargs, "signature": _outside(predictor, kwargs, own)})
    frame, binding = visited
    name, declared = binding.field, binding.declared
    if signature is not None:
        name = field_for(own, name)
        declared = name in own.fields
    history = kwargs.pop(name, None)
    since = _since(frame, history)
    if since is None:  # somebody's own: shown as DSPy shows it
        shown = with_fields(own, name) if isinstance(history, dspy.History) else own
        return _Call({**kwargs, name: history, "signature": shown})
    layout = _layout(frame, own, name, declared)
    if layout.whole and history is not None and history.messages:
        messages = list(history.messages)  # what this call handed out, and what was added to it
    else:
        messages = [*layout.messages(), *since]
    kwargs = {"demos": predictor.demos, **kwargs}
    return _shown(layout, own, name, declared, kwargs, messages=messages, since=since)


def _shown(
    layout: Layout,
    own: Signature,
    name: str,
    declared: bool,
    kwargs: dict[str, Any],
    *,
    messages: list[dict[str, Any]],
    since: list[dict[str, Any]],
) -> _Call:
    """A call that shows the conversation.

    Args:
        layout: The conversation as this predictor is shown it.
        own: The predictor's own signature.
        name: Of the history field.
        declared: True when ``own`` has that field.
        kwargs: The other arguments, the demos among them.
        messages: What was said in the predictor's own fields, those of ``since`` last.
        since: Messages that the program added to the history in this call.
    """
    adapter = dspy.settings.adapter or dspy.ChatAdapter()
    known = rendering.is_known(adapter)
    demos = kwargs["demos"]
    in_demos = any(name in demo for demo in demos)
    shows_text = bool(layout.text) or any(layout.text_field in demo for demo in demos)
    if shows_text:
        kwargs["demos"] = rendering.demos_for(layout, demos)
        if since and declared:  # what was said before comes before what an agent did since
            messages[0] = {layout.text_field: layout.text or rendering.NOTHING_YET, **messages[0]}
        else:
            kwargs[layout.text_field] = layout.text or rendering.NOTHING_YET
    text_field = layout.text_field if shows_text else ""
    history = dspy.History.model_construct(messages=messages)
    if messages or declared or in_demos or not known:
        kwargs |= {name: history, "signature": with_fields(own, name, text_field)}
    else:
        kwargs["signature"] = with_fields(layout.plain, text=text_field)
    settings = {}
    if known and layout.own and not since and not in_demos:
        settings["adapter"] = rendering.remembering(adapter, layout, name, history)
    elif layout.text and not known:
        settings["adapter"] = rendering.insisting(adapter, layout.text)
    return _Call(kwargs, settings, None if messages else history)


def _outside(predictor: dspy.Predict, kwargs: Mapping[str, Any], own: Signature) -> Signature:
    """Outside every session: as the predictor was, with a history field where the caller brings a history."""
    for binding in bindings(predictor).values():
        if binding.field not in own.fields and isinstance(kwargs.get(binding.field), dspy.History):
            own = with_fields(own, binding.field)
    return own


def _since(frame: Frame, history: Any) -> list[dict[str, Any]] | None:
    """What was added to the history of this call; None when ``history`` is not this call's."""
    if history is None:
        return []
    since = frame.since(history)
    if since is None and isinstance(history, dspy.History) and not history.messages and _agent_calls():
        frame.adopt(history)
        return []
    return since


def _agent_calls() -> bool:
    """True inside a ``ReActV2``, which begins a history of its own steps unless it is given one."""
    return any(isinstance(caller, dspy.ReActV2) for caller in (dspy.settings.caller_modules or [])[-2:])


def _layout(frame: Frame, own: Signature, name: str, declared: bool) -> Layout:
    plain = own if declared else without_field(own, name)
    key = (plain, plain.__doc__)
    layout = frame.layouts.get(key)
    if layout is None:
        layout = frame.layouts[key] = frame.engine.lay_out(frame, plain)
    return layout


def _mend_trace(predictor: dspy.Predict, unsaid: dspy.History | None) -> None:
    """Take an empty history out of the trace, where it would become a part of every demo."""
    if unsaid is None:
        return
    for traced, inputs, _ in islice(reversed(dspy.settings.trace or []), _NEWEST):
        if traced is predictor:
            for name in [name for name, value in inputs.items() if value is unsaid]:
                del inputs[name]
