"""From an episode to long-term memory."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import dspy

from dspy_session.codec import to_json
from dspy_session.errors import UnsupportedValueError
from dspy_session.frame import FRAME
from dspy_session.record import recorded_outputs
from dspy_session.threads import arun_in_thread, run_coroutine
from dspy_session.turn import Turn

logger = logging.getLogger(__name__)

_MEMORY_FIELDS = ("updated_memory", "memory", "l2_memory", "output")


def transcript(turns: Iterable[Turn]) -> str:
    """Turns as text, three lines each: ``- turn: N``, ``  inputs: {json}``, ``  outputs: {json}``."""
    lines = []
    for turn in turns:
        lines += [f"- turn: {turn.index}", f"  inputs: {_line(turn.inputs)}", f"  outputs: {_line(turn.outputs)}"]
    return "\n".join(lines)


def _line(values: dict[str, Any]) -> str:
    written = {}
    for name, value in values.items():
        try:
            written[name] = to_json(value, name)
        except UnsupportedValueError:
            written[name] = str(value)  # a transcript is for reading; what must come back equal goes through save
    return json.dumps(written, ensure_ascii=False)


def memory_of(result: Any) -> str:
    """The memory in what a consolidator returned.

    Raises:
        ValueError: There is none.
    """
    fields = recorded_outputs(result)
    name = next((name for name in _MEMORY_FIELDS if name in fields), next(iter(fields), None))
    if name is None or fields[name] is None:
        raise ValueError("the consolidator returned no memory: return a text, or a field named updated_memory")
    return str(fields[name])


def _apart() -> AbstractContextManager[None]:
    """A consolidator is no part of the program: what was said is its input, not its history; no trace shows it."""
    return dspy.context(**{FRAME: None}, trace=[])


def consolidated(consolidator: Callable[..., Any], past_memory: str, turns: Iterable[Turn]) -> str | None:
    """The new memory; None when the consolidator failed, which is logged."""
    try:
        with _apart():
            result = run_coroutine(consolidator(past_memory=past_memory, episode_transcript=transcript(turns)))
        return memory_of(result)
    except Exception:
        logger.warning("The consolidator failed; the episode is kept for the next call.", exc_info=True)
        return None


async def aconsolidated(consolidator: Callable[..., Any], past_memory: str, turns: Iterable[Turn]) -> str | None:
    """The same from a task; a synchronous consolidator runs in a thread."""
    inputs = {"past_memory": past_memory, "episode_transcript": transcript(turns)}
    try:
        with _apart():
            if isinstance(consolidator, dspy.Module) and hasattr(type(consolidator), "aforward"):
                result = await consolidator.acall(**inputs)
            elif inspect.iscoroutinefunction(consolidator):
                result = await consolidator(**inputs)
            else:
                result = await arun_in_thread(lambda: consolidator(**inputs))
                if inspect.isawaitable(result):
                    result = await result
        return memory_of(result)
    except Exception:
        logger.warning("The consolidator failed; the episode is kept for the next call.", exc_info=True)
        return None
