"""A code interpreter that runs in the test's own process: no sandbox, and none needed for code that a test writes."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

from dspy.primitives.code_interpreter import CodeExecutionError, FinalOutput


class _Submitted(BaseException):
    """Not an Exception: submitted code must not catch it."""


class InProcess:
    """Keeps its variables until it is shut down; ``SUBMIT(...)`` ends a run."""

    def __init__(self) -> None:
        self.tools: dict[str, Callable[..., Any]] = {}
        self._space: dict[str, Any] = {}

    def start(self) -> None:
        pass

    def shutdown(self) -> None:
        self._space.clear()

    def execute(self, code: str, variables: dict[str, Any] | None = None) -> Any:
        submitted: list[Any] = []

        def submit(*values: Any, **fields: Any) -> None:
            submitted.append(fields or values[0])
            raise _Submitted

        self._space.update({**self.tools, **(variables or {}), "SUBMIT": submit})
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                exec(code, self._space)
        except _Submitted:
            return FinalOutput(submitted[0])
        except SyntaxError:
            raise
        except Exception as error:
            raise CodeExecutionError(str(error)) from error
        return printed.getvalue()
