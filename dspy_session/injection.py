"""How a session reaches the predictors of a program.

A reached predictor keeps its identity and its ``__dict__`` and changes its class, to a subclass of the one it had. The
subclass hands the history of the call under way to the predictor, lists the history field in its signature, and is the
predictor as it was in everything else: outside a session's call, in ``dump_state``, in a file. As the class changed and
not the instance, a copy runs its own demos, instructions and language model.
"""

from __future__ import annotations

import copy
import inspect
import threading
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import dspy

from dspy_session.arrangement import Arranging, listed
from dspy_session.binding import BINDINGS, Binding, bindings, own_signature, set_bindings, visit
from dspy_session.children import Visit
from dspy_session.signatures import Signature, own_part

_changing = threading.RLock()  # sessions come and go on any thread, also when the garbage collector runs


def unlist(predictor: dspy.Predict) -> None:
    """Take out of a predictor's own signature what a session listed in the one that it was made from."""
    vars(predictor)["signature"] = own_part(own_signature(predictor))


def bind(predictor: dspy.Predict, session_key: str, binding: Binding) -> None:
    """Let the session of ``session_key`` reach ``predictor``."""
    with _changing:
        if not isinstance(predictor, _Reached):
            predictor.__class__ = _reached(type(predictor))
        set_bindings(predictor, {**bindings(predictor), session_key: binding})


def unbind(predictors: Iterable[dspy.Predict], session_key: str | None = None) -> None:
    """Let go of predictors; one that no session reaches any more is again what it was.

    Args:
        predictors: The predictors.
        session_key: The session that lets go; every session if None.
    """
    with _changing:
        for predictor in predictors:
            held = {key: binding for key, binding in bindings(predictor).items() if session_key not in (None, key)}
            set_bindings(predictor, held)
            if not held and isinstance(predictor, _Reached):
                unreached: type = type(predictor).unreached
                predictor.__class__ = unreached


class _Reached(dspy.Predict):
    """What a reached predictor does before its own class does anything."""

    unreached: type[dspy.Predict]

    @property
    def signature(self) -> Signature:
        return listed(self)

    @signature.setter
    def signature(self, signature: Signature) -> None:
        vars(self)["signature"] = own_part(signature)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        own: Any = super()
        visited = visit(self)
        if visited is None:
            return own.__call__(*args, **kwargs)
        frame, binding = visited
        return frame.engine.visit(Visit(frame, binding, self, own.__call__, args, kwargs))

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        own: Any = super()
        visited = visit(self)
        if visited is None:
            return await own.acall(*args, **kwargs)
        frame, binding = visited
        return await frame.engine.avisit(Visit(frame, binding, self, own.acall, args, kwargs))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        own: Any = super()
        return own.forward(*args, **self._taken(type(self).unreached.forward, kwargs))

    async def aforward(self, *args: Any, **kwargs: Any) -> Any:
        own: Any = super()
        return await own.aforward(*args, **self._taken(type(self).unreached.aforward, kwargs))

    def _taken(self, forward: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments less a history that a subclass's ``forward``, which names all it takes, has no place for."""
        names = _parameters(forward)
        if names is None:
            return kwargs
        histories = {binding.field for binding in bindings(self).values()}
        return {name: value for name, value in kwargs.items() if name in names or name not in histories}

    def dump_state(self, json_mode: bool = True) -> dict[str, Any]:
        own: Any = super()
        return {**own.dump_state(json_mode=json_mode), "signature": own_signature(self).dump_state()}

    def load_state(self, state: Mapping[str, Any], **options: Any) -> dspy.Predict:
        # DSPy matches the saved fields by position, so they must meet the signature that they were saved from.
        own: Any = super()
        mine, shown = own_signature(self), self.signature
        saved = state["signature"]
        restored = (shown if len(saved["fields"]) == len(shown.fields) else mine).load_state(saved)
        own.load_state({**state, "signature": shown.dump_state()}, **options)
        self.signature = restored
        return self

    def __copy__(self) -> dspy.Predict:
        return self._like(self.__getstate__())

    def __deepcopy__(self, memo: dict[int, Any]) -> dspy.Predict:
        memo[id(self)] = twin = self._like({})
        twin.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return twin

    def _like(self, state: dict[str, Any]) -> dspy.Predict:
        twin: Any = type(self).__new__(type(self))
        twin.__setstate__(state)
        return twin  # type: ignore[no-any-return]

    def __reduce_ex__(self, protocol: Any) -> Any:
        # What is written to a file is the predictor as it was: sessions do not outlive the process.
        state = {name: value for name, value in self.__getstate__().items() if name != BINDINGS}
        return object.__new__, (type(self).unreached,), state


@lru_cache(maxsize=512)
def _reached(base: type[dspy.Predict]) -> type[_Reached]:
    own = {name: getattr(base, name) for name in ("__module__", "__qualname__", "__doc__")}
    bases = (_Reached, Arranging) if base is dspy.Predict else (_Reached, base, Arranging)
    make: Any = type(base)
    kind: type[_Reached] = make(base.__name__, bases, {**own, "unreached": base})
    return kind


@lru_cache(maxsize=512)
def _parameters(forward: Any) -> frozenset[str] | None:
    """The names that a function takes; None when it takes any."""
    parameters = inspect.signature(forward).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return frozenset(parameters)
