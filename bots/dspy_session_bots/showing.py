"""How a conversation looks on a screen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dspy_session_bots.console import harmless
from dspy_session_bots.feedback import in_words
from dspy_session_bots.moments import ago, exact
from dspy_session_bots.tables import count
from dspy_session_bots.transcript import TURN, Line

INDENT = 2


def show(console: Console, key: str, lines: Sequence[Line], now: float, *, everything: bool) -> None:
    """Show a conversation.

    Args:
        console: The screen.
        key: The conversation.
        lines: All that happened in it.
        now: The time, in seconds since 1970, UTC.
        everything: Whether to show what was taken back, and all that is no turn.
    """
    turns = [line for line in lines if line.kind == TURN and line.stands and not line.ledger]
    console.print(Text(harmless(key), style="bold"))
    counts = f"{count(len(turns), 'turn')}, {count(len(lines), 'entry', 'entries')}"
    times = f"begun {exact(lines[0].at)} UTC · last change {ago(lines[-1].at, now)}"
    console.print(f"{counts} · {times}", style="dim")
    for line in lines if everything else turns:
        if line.kind == TURN:
            _show_turn(console, line)
        else:
            _show_event(console, line)


def tokens_of(usage: Mapping[str, Any]) -> tuple[int, int]:
    """How many tokens went in and came out, over all models."""
    counts = [counted for counted in usage.values() if isinstance(counted, dict)]
    into, out = (sum(_number(each.get(name)) for each in counts) for name in ("prompt_tokens", "completion_tokens"))
    return into, out


def _show_turn(console: Console, line: Line) -> None:
    told, body = line.told, line.body
    style = "" if line.stands else "dim"
    head = Text("\n")
    head.append(f"Turn {_number(body.get('index')) + 1}", style=f"bold {style}")
    if line.ledger:
        head.append(f" in {harmless(line.ledger)}", style=style)
    head.append(f"  {exact(line.at, seconds=True)}", style="dim")
    if told.get("author"):
        name = harmless(str(told.get("name") or told["author"]))
        head.append(f"  {name}" + (f" ({harmless(told['author'])})" if told.get("name") else ""), style=style)
    if body.get("score") is not None:
        head.append(f"  score {_written(body['score'])}", style=f"green {style}")
    if body.get("stopped"):
        head.append(f"  {harmless(str(body['stopped']))}", style="yellow")
    if not line.stands:
        head.append("  taken back", style="yellow")
    console.print(head)
    into, out = tokens_of(told.get("usage") or {})
    facts = [
        harmless(str(told.get("model", ""))),
        f"{into:,} + {out:,} tokens" if into or out else "",
        f"{told['seconds']:g} s" if told.get("seconds") else "",
        harmless(str(body.get("id", ""))),
    ]
    console.print(Padding(Text(" · ".join(filter(None, facts)), style="dim"), (0, 0, 0, INDENT), expand=False))
    fields = {**_fields(body.get("inputs")), **_fields(body.get("outputs"))}
    console.print(Padding(_grid(fields, style), (0, 0, 0, INDENT), expand=False))
    for said in line.feedback:
        console.print(Padding(Text(in_words(said), style="green"), (0, 0, 0, INDENT), expand=False))


def _show_event(console: Console, line: Line) -> None:
    head = Text("\n")
    head.append(f"{exact(line.at, seconds=True)}  ", style="dim")
    head.append(_said(line), style="cyan")
    console.print(head)
    if line.kind == "edit":
        fields = {**_fields(line.body.get("inputs")), **_fields(line.body.get("outputs"))}
        console.print(Padding(_grid(fields, ""), (0, 0, 0, INDENT), expand=False))


_SAYINGS = {
    "reset": "started anew",
    "forgotten": "forgotten",
    "deleted": "a message was deleted",
    "aside": "people talk to one another",
}


def _said(line: Line) -> str:
    """An entry that is no turn, in words."""
    body = line.body
    said = _SAYINGS.get(line.kind, f"{line.kind}: {_written(body)}")
    match line.kind:
        case "undo":
            said = f"{count(_number(body.get('steps')), 'turn')} taken back"
        case "score" | "signal" | "edit":
            said = _said_of_turn(line)
        case "agent":
            said = f"answered by {harmless(str(body.get('agent', '')))}"
        case "forked":
            said = f"begun as a copy of {harmless(str(body.get('from', '')))}"
        case "failed":
            said = f"no answer: {harmless(str(body.get('error', '')))} (reference {body.get('reference', 'none')})"
        case "cleared":
            said = "the agent cleared its history" + (f" in {harmless(line.ledger)}" if line.ledger else "")
        case "memory":
            said = f"memory: {harmless(str(body.get('text', '')))}"
        case "seed":
            said = f"begins with {count(len(body.get('messages') or ()), 'message')} of the agent's"
        case "asked":
            said = f"asked whether it may use {harmless(str(body.get('tool', '')))}"
        case "decided" if body.get("late"):
            said = "nobody decided in time"
        case "decided":
            why = f": {harmless(str(body['reason']))}" if body.get("reason") else ""
            said = ("approved" if body.get("approved") else "denied") + _by(body) + why
    return said


def _said_of_turn(line: Line) -> str:
    """What was said of a turn, done with it, or changed in it."""
    body = line.body
    turn = "a turn" if line.about is None else f"turn {_number(line.about.get('index')) + 1}"
    if line.kind == "edit":
        return f"{turn}: its message was deleted" if body.get("deleted") else f"{turn} edited"
    if line.kind == "signal":
        return f"{turn} {harmless(str(body.get('signal', '')))}{_by(body)}"
    score = body.get("score")
    words = f": {harmless(str(body['text']))}" if body.get("text") else ""
    return f"{turn} {'is scored no more' if score is None else f'scored {_written(score)}'}{_by(body)}{words}"


def _by(body: Mapping[str, Any]) -> str:
    """Who did it, and how."""
    who = f" by {harmless(str(body['by']))}" if body.get("by") else ""
    return who + (f" ({harmless(str(body['source']))})" if body.get("source") else "")


def _grid(fields: Mapping[str, Any], style: str) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="cyan")
    grid.add_column(overflow="fold", style=style)
    for name, value in fields.items():
        grid.add_row(Text(harmless(name)), Text(_written(value)))
    return grid


def _written(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return harmless(text.encode("utf-8", errors="replace").decode())


def _fields(values: Any) -> Mapping[str, Any]:
    return values if isinstance(values, dict) else {}


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
