"""Processes that do the measuring.

Run as a program, this answers requests on standard input: which function of this folder to call, and with what. Which
``dspy_session`` the function then imports depends only on the Python that runs it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self


class Worker:
    """A process of another Python that calls functions of this folder. What they return must be JSON.

    Args:
        python: The interpreter; its environment decides which packages are measured.
    """

    def __init__(self, python: str) -> None:
        self._home = tempfile.TemporaryDirectory()
        environment = {
            **os.environ,
            "LITELLM_LOCAL_MODEL_COST_MAP": "true",  # else LiteLLM asks the network for its prices
            "DSPY_CACHEDIR": self._home.name,
        }
        environment.pop("PYTHONPATH", None)  # it could bring our own package into the peer's process
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling is no part of an import
        self._process = subprocess.Popen(
            [python, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout

    def __call__(self, function: Callable[..., Any], **arguments: Any) -> Any:
        """What ``function(**arguments)`` returns over there."""
        request = {"module": function.__module__, "name": function.__name__, "arguments": arguments}
        self._requests.write(json.dumps(request) + "\n")
        self._requests.flush()
        answer = self._answers.readline()
        if not answer:
            raise SystemExit(f"{function.__module__}.{function.__name__} failed; its error stands above")
        return json.loads(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._requests.close()
        self._answers.close()
        self._process.wait()
        self._home.cleanup()


@dataclass(frozen=True)
class Run:
    """What a file of this folder measures with.

    Args:
        ours: A process of this environment.
        peer: A process of the peer's; None when there is none.
        samples: What was measured, by name.
    """

    ours: Worker
    peer: Worker | None
    samples: dict[str, Any] = field(default_factory=dict)

    def keep(self, name: str, figures: Any) -> None:
        """Put figures into the report."""
        self.samples[name] = figures


def _answer_requests() -> None:
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # what a library prints is no answer
        for line in sys.stdin:
            request = json.loads(line)
            function = getattr(importlib.import_module(request["module"]), request["name"])
            print(json.dumps(function(**request["arguments"])), file=answers, flush=True)


if __name__ == "__main__":
    _answer_requests()
