"""Measure what the kit costs, in one run against bare DSPy and against a peer in its own environment.

    python benchmarks/run.py [--peer-python .venv-peers/bin/python] [--plot] [name ...]

A name is a file of this folder that has ``rows``; without names all run. Figures are medians of several rounds in
which ours and the peer's take turns, so that a busy moment of the machine hits both. What was measured is kept under
``benchmarks/results/``. Nothing here fails because of a figure: the table says what is met.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from plot import append_svg, overhead_svg
from row import Row, table
from worker import Run, Worker

NAMES = (
    "turn_overhead",
    "predict_history",
    "saved_state",
    "turn_memory",
    "loaded_conversation",
    "concurrency",
    "import_time",
    "append",
    "append_at_once",
    "load_turns",
    "bytes_written",
    "claims",
    "whole_message",
    "bot_latency",
    "bot_throughput",
    "bot_memory",
    "slack_http",
)
HERE = Path(__file__).parent
IMAGES = HERE.parent / "docs" / "images"
PICTURES = {
    "turn_overhead": ("overhead", overhead_svg),
    "append": ("append", append_svg),
}
"""By file of this folder, the figures that are drawn, which name the picture too, and what draws them."""


def _measured(name: str, peer_python: str | None) -> tuple[list[Row], dict[str, Any]]:
    """The rows of one file, measured in processes of their own, and what they were made from."""
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(Worker(sys.executable))
        peer = stack.enter_context(Worker(peer_python)) if peer_python else None
        run = Run(ours, peer)
        rows = []
        for row in importlib.import_module(name).rows(run):
            print(".", end="", file=sys.stderr, flush=True)
            rows.append(row)
        return rows, run.samples


def _machine() -> dict[str, Any]:
    return {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=f"what to measure: {', '.join(NAMES)}; all if none")
    parser.add_argument("--peer-python", help="the Python of an environment with dspy-session 0.1.2")
    parser.add_argument("--plot", action="store_true", help="draw the pictures for README as well")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no {unknown[0]!r}; there are: {', '.join(NAMES)}")

    now = datetime.datetime.now(datetime.UTC)
    samples: dict[str, dict[str, Any]] = {}
    rows: list[Row] = []
    for name in arguments.names or NAMES:
        print(f"{name} ", end="", file=sys.stderr, flush=True)
        found, samples[name] = _measured(name, arguments.peer_python)
        rows += found
        print(file=sys.stderr)
    print("\n".join(table(rows)))

    results = HERE / "results"
    results.mkdir(exist_ok=True)
    report = {
        "at": now.isoformat(),
        **_machine(),
        "rows": [vars(row) | {"met": row.met} for row in rows],
        "samples": samples,
    }
    path = results / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
    print(f"\nkept in {path.relative_to(HERE.parent)}")
    for name, (figures, svg) in PICTURES.items():
        if arguments.plot and name in samples:
            IMAGES.mkdir(parents=True, exist_ok=True)
            picture = IMAGES / f"{figures}.svg"
            picture.write_text(svg(samples[name][figures]), encoding="utf-8")
            print(f"drawn in {picture.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
