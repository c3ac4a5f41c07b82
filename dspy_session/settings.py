"""What must follow a call into DSPy's own threads (``Parallel``, ``asyncify``, tools) travels among DSPy's settings.

``dspy.context`` would do, and costs as much as a small module: these are the same overrides without its generator and
without a copy of every setting of the process.
"""

from __future__ import annotations

from contextvars import Token
from typing import Any

from dspy.dsp.utils.settings import thread_local_overrides
from dspy.dsp.utils.utils import dotdict


def setting(name: str) -> Any:
    """A DSPy setting of ours; None where it is not set."""
    return thread_local_overrides.get().get(name)


def set_here(name: str, value: Any) -> Token[Any]:
    """Set one for this task and what it starts, until ``unset_here``."""
    overrides = dotdict(thread_local_overrides.get())
    overrides[name] = value
    return thread_local_overrides.set(overrides)


def unset_here(token: Token[Any]) -> None:
    """Undo the ``set_here`` that gave ``token``."""
    thread_local_overrides.reset(token)
