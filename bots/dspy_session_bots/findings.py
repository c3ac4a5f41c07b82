"""What was found while a platform's setup was looked over: a table with a mark for each thing, then what is to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dspy_session_bots.console import harmless
from dspy_session_bots.tables import print_json, table
from dspy_session_chat.finding import Finding, mends

MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("·", "dim")}


def report(console: Console, findings: Sequence[Finding], *, as_json: bool) -> int:
    """Show what was found.

    Args:
        console: Where people look.
        findings: What was found.
        as_json: For programs instead: a line of JSON for each.

    Returns:
        The exit code: 1 if something has to be mended, else 0.
    """
    if as_json:
        for finding in findings:
            print_json(_to_json(finding))
    else:
        _show(console, findings)
    return int(any(finding.holds is False for finding in findings))


def show_steps(console: Console, steps: Sequence[str]) -> None:
    """Show what to do, one thing after the other. A line that is an address is not broken, so that it can be copied."""
    for number, step in enumerate(steps, start=1):
        for place, line in enumerate(step.split("\n")):
            if line.startswith("https://"):
                console.print(harmless(line), soft_wrap=True)
            else:
                row = Table.grid(padding=(0, 1))
                row.add_row("" if place else f"{number}.", harmless(line))
                console.print(row)


def _show(console: Console, findings: Sequence[Finding]) -> None:
    rows = table("", "What", "Found", folded=("Found",))
    for finding in findings:
        mark, style = MARKS[finding.holds]
        rows.add_row(Text(mark, style=style), harmless(finding.what), harmless(finding.says))
    console.print(rows)
    if steps := mends(findings):
        console.print("\nTo do:\n")
        show_steps(console, steps)


def _to_json(finding: Finding) -> dict[str, Any]:
    return {"what": finding.what, "holds": finding.holds, "says": finding.says, "mend": finding.mend}
