"""How a session reaches the predictors of a program.

A reached predictor keeps its identity and its ``__dict__`` and changes its class, to a subclass of the class it had. The
subclass hands the history of the call under way to the predictor, lists the history field in its signature, and is the
predictor as it was in everything else: outside a session's call, in ``dump_state``, in copies, in pickles. Because it is
the class that changed and not the instance, a copy runs its own demos, instructions and language model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import dspy
from dspy.signatures.signature import ensure_signature

from dspy_session import rendering
from dspy_session.frame import Frame, current
from dspy_session.rendering import Layout, Signature

_BINDINGS = "session_bindings"


@dataclass(frozen=True, slots=True)
class Binding:
    """A session's claim on a predictor.

    Args:
        path: The predictor's dotted path below the session's module; empty for the module itself.
        field: Name of the history field.
        declared: True when the predictor's own signature has that field.
    """

    path: str
    field: str
    declared: bool


def bind(predictor: dspy.Predict, session_key: str, binding: Binding) -> None:
    """Let the session of ``session_key`` reach ``predictor``."""
    if not getattr(predictor, "reached_by_sessions", False):
        predictor.__class__ = _reached(type(predictor))
    # Never changed in place: a shallow copy of the predictor shares the mapping.
    predictor.__dict__[_BINDINGS] = {**predictor.__dict__.get(_BINDINGS, {}), session_key: binding}


def unbind(predictor: dspy.Predict, session_key: str) -> None:
    """Let go of ``predictor``; it becomes what it was once no session reaches it."""
    bindings = {key: held for key, held in _bindings(predictor).items() if key != session_key}
    if bindings:
        predictor.__dict__[_BINDINGS] = bindings
    else:
        unbind_all(predictor)


def unbind_all(predictor: dspy.Predict) -> None:
    """Let every session go of ``predictor``: it becomes what it was."""
    if predictor.__dict__.pop(_BINDINGS, None) is not None:
        predictor.__class__ = type(predictor).__mro__[1]


def own_signature(predictor: dspy.Predict) -> Signature:
    """The signature that the predictor has without any session."""
    signature: Signature = predictor.__dict__["signature"]
    return signature


@lru_cache(maxsize=512)
def _reached(base: type[dspy.Predict]) -> type[dspy.Predict]:
    namespace = {**_METHODS, "__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__}
    return type(base)(base.__name__, (base,), namespace)


def _rebuild(base: type[dspy.Predict]) -> dspy.Predict:
    """An empty reached predictor, for copies and pickles."""
    kind = _reached(base)
    return kind.__new__(kind)


@dataclass(frozen=True, slots=True)
class _Arrangement:
    """How one call of a predictor goes."""

    kwargs: dict[str, Any]
    adapter: dspy.Adapter | None = None
    drop_from_trace: str = ""


# --- the methods of a reached predictor ---------------------------------------------------------------------------


def _bindings(predictor: dspy.Predict) -> Mapping[str, Binding]:
    bindings: Mapping[str, Binding] = predictor.__dict__.get(_BINDINGS, {})
    return bindings


def _visit(predictor: dspy.Predict) -> tuple[Frame, Binding] | None:
    """The innermost call under way whose session reaches this predictor, and how."""
    frame = current()
    if frame is None:
        return None
    bindings = _bindings(predictor)
    for candidate in frame.outward():
        binding = bindings.get(candidate.engine.key)
        if binding is not None:
            return candidate, binding
    return None


def _get_signature(self: dspy.Predict) -> Signature:
    own = own_signature(self)
    visit = _visit(self)
    if visit is None:
        binding = next(reversed(_bindings(self).values()), None)
        return own if binding is None or binding.declared else rendering.with_fields(own, binding.field)
    frame, binding = visit
    layout = _layout(frame, own, binding)
    return rendering.with_fields(own, binding.field) if not layout.own and not layout.text else layout.signature


def _set_signature(self: dspy.Predict, signature: Signature) -> None:
    added = {binding.field for binding in _bindings(self).values() if not binding.declared}
    for field in added:
        found = signature.input_fields.get(field)
        if found is not None and found.annotation is dspy.History:
            signature = rendering.without_field(signature, field)
    self.__dict__["signature"] = signature


def _call(self: dspy.Predict, *args: Any, **kwargs: Any) -> Any:
    visit = _visit(self)
    base = super(type(self), self).__call__
    if visit is None:
        return base(*args, **kwargs)
    frame, binding = visit
    return frame.engine.visit(frame, binding, self, base, args, kwargs)


async def _acall(self: dspy.Predict, *args: Any, **kwargs: Any) -> Any:
    visit = _visit(self)
    base = super(type(self), self).acall
    if visit is None:
        return await base(*args, **kwargs)
    frame, binding = visit
    return await frame.engine.avisit(frame, binding, self, base, args, kwargs)


def _forward(self: dspy.Predict, **kwargs: Any) -> Any:
    arranged = _arrange(self, kwargs)
    base = super(type(self), self).forward
    if arranged.adapter is None:
        result = base(**arranged.kwargs)
    else:
        with dspy.context(adapter=arranged.adapter):
            result = base(**arranged.kwargs)
    _mend_trace(self, arranged.drop_from_trace)
    return result


async def _aforward(self: dspy.Predict, **kwargs: Any) -> Any:
    arranged = _arrange(self, kwargs)
    base = super(type(self), self).aforward
    if arranged.adapter is None:
        result = await base(**arranged.kwargs)
    else:
        with dspy.context(adapter=arranged.adapter):
            result = await base(**arranged.kwargs)
    _mend_trace(self, arranged.drop_from_trace)
    return result


def _dump_state(self: dspy.Predict, json_mode: bool = True) -> dict[str, Any]:
    state: dict[str, Any] = super(type(self), self).dump_state(json_mode=json_mode)
    state["signature"] = own_signature(self).dump_state()
    return state


def _load_state(self: dspy.Predict, state: Mapping[str, Any], **options: Any) -> dspy.Predict:
    # DSPy matches the saved fields by position, so they must meet the signature that they were saved from.
    own, listed = own_signature(self), self.signature
    saved = state["signature"]
    source = listed if len(saved["fields"]) == len(listed.fields) else own
    restored = source.load_state(saved)
    super(type(self), self).load_state({**state, "signature": listed.dump_state()}, **options)
    self.signature = restored
    return self


def _reduce_ex(self: dspy.Predict, protocol: Any) -> Any:
    return _rebuild, (type(self).__mro__[1],), self.__getstate__()


_METHODS: dict[str, Any] = {
    "reached_by_sessions": True,
    "signature": property(_get_signature, _set_signature),
    "__call__": _call,
    "acall": _acall,
    "forward": _forward,
    "aforward": _aforward,
    "dump_state": _dump_state,
    "load_state": _load_state,
    "__reduce_ex__": _reduce_ex,
}


# --- one call -------------------------------------------------------------------------------------------------------


def _layout(frame: Frame, own: Signature, binding: Binding) -> Layout:
    key = (own, own.instructions, binding.field)
    layout = frame.layouts.get(key)
    if layout is None:
        layout = frame.engine.lay_out(frame, own, binding.field)
        frame.layouts[key] = layout
    return layout


def _arrange(predictor: dspy.Predict, kwargs: dict[str, Any]) -> _Arrangement:
    """Pure but for what it hands out: from the caller's arguments to those of the predictor's own ``forward``."""
    visit = _visit(predictor)
    kwargs = dict(kwargs)
    given_signature = kwargs.pop("signature", None)
    if visit is None:
        return _Arrangement(_outside(predictor, kwargs, given_signature))
    frame, binding = visit
    field = binding.field
    own = own_signature(predictor) if given_signature is None else ensure_signature(given_signature)
    if not binding.declared:
        own = rendering.without_field(own, field)
    history = kwargs.get(field)
    count = frame.handed_count(history)
    if history is not None and count is None:  # somebody's own history, to be shown as DSPy shows it
        return _Arrangement({**kwargs, "signature": rendering.with_fields(own, field)})
    layout = _layout(frame, own, binding)
    since = [] if history is None or count is None else history.messages[count:]  # what a ReActV2 did in this call
    demos = kwargs.get("demos", predictor.demos)
    kwargs.pop(field, None)
    kwargs["demos"] = rendering.demos_for(layout, demos)
    if layout.text:
        kwargs[layout.text_field] = layout.text
    own_history = dspy.History.model_construct(messages=[*layout.messages(), *since])
    shown = bool(own_history.messages)
    signature = layout.signature
    told_by_demos = any(field in demo for demo in demos)
    if shown or binding.declared or told_by_demos:
        signature = rendering.with_fields(signature, field)
        kwargs[field] = own_history
    kwargs["signature"] = signature
    if not shown or since or told_by_demos:
        return _Arrangement(kwargs, None, "" if shown else field)
    adapter = dspy.settings.adapter or dspy.ChatAdapter()
    return _Arrangement(kwargs, rendering.remembering(adapter, layout, own_history))


def _outside(predictor: dspy.Predict, kwargs: dict[str, Any], given_signature: Any) -> dict[str, Any]:
    """Outside every session: as the predictor was, with a history field where the caller brings a history."""
    own = own_signature(predictor) if given_signature is None else given_signature
    if given_signature is None:
        for binding in _bindings(predictor).values():
            if not binding.declared and isinstance(kwargs.get(binding.field), dspy.History):
                own = rendering.with_fields(own, binding.field)
    return {**kwargs, "signature": own}


def _mend_trace(predictor: dspy.Predict, field: str) -> None:
    """Take an empty history out of the trace, where it would become a part of every demo."""
    if not field:
        return
    for traced, inputs, _ in reversed(dspy.settings.trace or []):
        if traced is predictor:
            if isinstance(inputs.get(field), dspy.History) and not inputs[field].messages:
                del inputs[field]
            return
