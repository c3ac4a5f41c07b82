"""How many tools an agent may use for one message.

An error will not stop an agent: ReAct catches what a tool raises and tells it to the model, and DSPy only logs what a
callback raises. So what is raised here while the agent runs is no ``Exception``, as a cancellation is none.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from dspy_session.errors import SessionError

_ENDING = frozenset({"finish", "submit"})
"""The tools with which ``ReAct`` and ``ReActV2`` say that they are done: they cost no step."""


class StepsUsedUpError(SessionError):
    """The agent used as many tools as it may for one message, and wanted one more."""


class _Stop(BaseException):
    """Ends the agent; outside of it it is a StepsUsedUpError."""


class StepCounter(BaseCallback):
    """Stops an agent that wants to use a tool too often. One counter is for one turn.

        with counter.telling(), dspy.context(callbacks=[*dspy.settings.callbacks, counter]):
            await agent.acall(…)

    Args:
        steps: How many tools it may use; a tool that is asked for several times counts each time, also where a tool
            or a part of the agent asks for it.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self._used = itertools.count(1)  # tools may run in several threads at once

    def on_tool_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Count a tool; the one too many does not run."""
        if instance.name not in _ENDING and next(self._used) > self.steps:
            raise _Stop

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Raise what the counter stopped as an error that can be caught as any other.

        Raises:
            StepsUsedUpError: In the place of what stopped the agent.
        """
        try:
            yield
        except _Stop:
            raise StepsUsedUpError(
                f"the agent used {self.steps} tools for one message, which is all that it may, and wanted one more"
            ) from None


def shorten(agent: dspy.Module, steps: int) -> None:
    """Let the loops in an agent end by themselves after so many tools, and answer from what they have found.

    ``ReAct`` and ``ReActV2`` do so at their own ``max_iters``, which is lowered for good where it is higher. Without
    this they are stopped in the middle.

    Args:
        agent: The agent, or a session around it.
        steps: How many tools each loop may use.
    """
    for _, module in agent.named_sub_modules(dspy.Module):
        if isinstance(module, dspy.ReAct | dspy.ReActV2):
            module.max_iters = min(module.max_iters, steps)
