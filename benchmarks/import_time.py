"""What `import dspy_session` adds to `import dspy`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from statistics import median

from row import Row
from worker import Run

ROUNDS = 7
_PROGRAM = """
import json, time
started = time.perf_counter()
import dspy
between = time.perf_counter()
import dspy_session
print(json.dumps({"dspy": between - started, "ours": time.perf_counter() - between}))
"""


def imports() -> dict[str, float]:
    """Seconds of both imports, in a new process."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def rows(run: Run) -> Iterator[Row]:
    """The lines of the table."""
    found = []
    peers = []
    for _ in range(ROUNDS):
        found.append(run.ours(imports))
        if run.peer is not None:
            peers.append(run.peer(imports))
    run.keep("seconds", {"ours": found, "peer": peers})
    yield Row.of(
        "import dspy_session",
        "s",
        [sample["ours"] for sample in found],
        [sample["dspy"] for sample in found],
        peer_name="import dspy",
        limit=0.1,
        note=f"0.1.2 adds {median(sample['ours'] for sample in peers) * 1e3:.0f} ms" if peers else "",
    )
