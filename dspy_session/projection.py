"""What a program can ask about the call that it is part of: for template adapters, tools and debugging."""

from __future__ import annotations

from collections.abc import Collection

import dspy

from dspy_session.consolidate import transcript
from dspy_session.frame import Frame, current
from dspy_session.policy import is_below


def get_current_history() -> dspy.History | None:
    """The history of the innermost session or child at work here; None outside a call."""
    frame = current()
    return None if frame is None else frame.saw.history()


def get_outer_history() -> dspy.History | None:
    """The history of the whole program's call: what the user and the program said; None outside a call."""
    root = _root()
    return None if root is None else root.saw.history()


def get_node_memory() -> str:
    """The long-term memory of the innermost session or child at work here; empty outside a call."""
    frame = current()
    return "" if frame is None else frame.state.l2_memory


def get_child_l1_ledger(path: str) -> str:
    """What a child has said, this call included: three lines a turn.

    Args:
        path: The child's dotted path, with or without ``root.``; an ending of it that only one child has, or the path
            of a module (a ``ChainOfThought``) with only one child in it, will do.

    Returns:
        The transcript; empty for an unknown child, and outside a call.
    """
    root = _root()
    if root is None:
        return ""
    found = _found(root.engine.nodes, path.removeprefix("root."))
    return "" if found is None else transcript(root.ledger(found).working)


def _found(paths: Collection[str], wanted: str) -> str | None:
    """The path that is meant; None when there is none, or more than one."""
    if wanted in paths:
        return wanted
    endings = [path for path in paths if path.endswith(f".{wanted}")]
    matches = endings or [path for path in paths if is_below(path, wanted)]
    return matches[0] if len(matches) == 1 else None


def get_execution_trace() -> str:
    """One line a node, ``name: turns=N l2_chars=M``, then ``active_stack=a > b``; empty outside a call."""
    frame, root = current(), _root()
    if frame is None or root is None:
        return ""
    lines = [f"root: turns={len(root.state)} l2_chars={len(root.state.l2_memory)}"]
    for path in root.engine.nodes:
        working = root.ledger(path).working
        lines.append(f"{path}: turns={len(working)} l2_chars={len(working.l2_memory)}")
    stack = [around.path or "root" for around in frame.outward()]
    return "\n".join([*lines, f"active_stack={' > '.join(reversed(stack))}"])


def _root() -> Frame | None:
    """The outermost frame of the call."""
    frame = current()
    return None if frame is None else list(frame.outward())[-1]
