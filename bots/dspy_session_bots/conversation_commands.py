"""``dspy-bots conversations``: what a bot has kept, to be looked at, taken along and deleted."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

# What DSPy stands behind is imported by the command that needs it, so that help is there at once.
from dspy_session_bots import moving_commands
from dspy_session_bots.console import complain, is_sure
from dspy_session_bots.options import (
    BOT_STORE,
    JsonOption,
    Misused,
    OutputOption,
    PrefixOption,
    StoreOption,
    YesOption,
    examples,
    group,
)

if TYPE_CHECKING:
    from dspy_session.stores import Forget

ROWS = 50
"""Conversations in a table, the newest: who wants all of them wants --json, or a prefix."""

CHANGED = "Last change"
OTHERS = 21
"""Columns that the table takes beside keys and times: so the key of a thread in Slack stands on one line of 80."""

app = group(
    "See, move, learn from and delete what a bot has kept.\n\nAll but import also while the bot runs.",
    "dspy-bots conversations list --prefix slack:",
    "dspy-bots conversations show slack:T1:C1:1700000000.000100 --all",
    "dspy-bots conversations export --output conversations.jsonl",
    "dspy-bots conversations import conversations.jsonl --store sqlite:///new.db",
    "dspy-bots conversations key",
    "dspy-bots conversations examples --min-score 0.5 --output trainset.jsonl",
    "dspy-bots conversations forget --user slack:T1:U1",
    "dspy-bots conversations forget --before 90d --yes",
)

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="The conversation, as list shows it.")]

app.add_typer(moving_commands.app)


@app.command(
    "list", epilog=examples("dspy-bots conversations list", "dspy-bots conversations list --prefix slack:T1: --json")
)
def list_(
    *,
    store: StoreOption = BOT_STORE,
    prefix: PrefixOption = "",
    limit: Annotated[
        int | None,
        typer.Option(min=0, help="How many, at most; 0 for all.", show_default=f"{ROWS} in a table, all with --json"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The conversations, newest first."""
    asyncio.run(_list(store, prefix, limit, as_json=as_json))


async def _list(url: str, prefix: str, limit: int | None, *, as_json: bool) -> None:
    from dspy_session_bots.keeping import beside
    from dspy_session_bots.moments import ago, iso
    from dspy_session_bots.tables import NARROWEST, broken, print_json, screen, table
    from dspy_session_bots.transcript import turns_in

    at_most = (0 if as_json else ROWS) if limit is None else limit
    async with beside(url) as store:
        infos = list(await store.list(prefix))
        shown = infos[: at_most or None]
        if as_json:
            for info in shown:
                times = {"created_at": iso(info.created_at), "updated_at": iso(info.updated_at)}
                print_json(
                    {"key": info.key, "turns": await turns_in(store, info.key), "entries": info.entries, **times}
                )
            return
        if not infos:
            typer.echo(f"No conversation begins with {prefix}" if prefix else "No conversations yet.")
            return
        console, now = screen(), time.time()
        rows = table("Conversation", "Turns", "Entries", CHANGED, right=("Turns", "Entries"))
        changes = [ago(info.updated_at, now) for info in shown]
        key_width = max(NARROWEST, console.width - OTHERS - max(map(len, [CHANGED, *changes])))
        uncounted = False
        for info, changed in zip(shown, changes, strict=True):
            turns = await turns_in(store, info.key)
            uncounted |= turns is None
            rows.add_row(
                broken(info.key, key_width),
                "?" if turns is None else f"{turns:,}",
                f"{info.entries:,}",
                changed,
            )
        console.print(rows)
        if uncounted:
            console.print("?: encrypted, and counted where STORE_KEYS are set; or damaged", style="dim")
        if len(shown) < len(infos):
            console.print(f"… and {len(infos) - len(shown):,} more: --limit 0 shows all", style="dim")


@app.command(epilog=examples("dspy-bots conversations show slack:T1:C1:1700000000.000100 --all"))
def show(
    key: KeyArgument,
    *,
    store: StoreOption = BOT_STORE,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what was taken back, and every reset, undo, score, edit and failure.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """The turns of a conversation.

    Who said what when, what was answered, by which model, and what that cost.
    """
    asyncio.run(_show(store, key, everything=everything, as_json=as_json))


async def _show(url: str, key: str, *, everything: bool, as_json: bool) -> None:
    from dspy_session_bots.keeping import beside, refuse_unknown
    from dspy_session_bots.showing import show as show_lines
    from dspy_session_bots.tables import print_json, screen
    from dspy_session_bots.transcript import TURN, read_transcript

    async with beside(url) as store:
        lines = await read_transcript(store, key, as_now=not everything)
        if not lines:
            await refuse_unknown(store, key)
    if not as_json:
        show_lines(screen(), key, lines, time.time(), everything=everything)
        return
    for line in lines:
        if everything or (line.kind == TURN and line.stands and not line.ledger):
            print_json(line.to_json())


@app.command(
    "examples",
    epilog=examples(
        "dspy-bots conversations examples --output trainset.jsonl",
        "dspy-bots conversations examples --prefix slack:T1: --min-score 1 > trainset.jsonl",
    ),
)
def examples_(
    *,
    store: StoreOption = BOT_STORE,
    prefix: PrefixOption = "",
    min_score: Annotated[
        float, typer.Option(metavar="SCORE", help="What a turn must be worth: the mean of what people gave it.")
    ] = 0.5,
    agent: Annotated[
        str | None,
        typer.Option(
            metavar="CHANNEL",
            help="Those of a channel's own agent alone, as --channel names the channel; '' for the others.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Path("-"),
) -> None:
    """The turns that people rated well, as a training set.

    Each turn is a JSON object on a line, with the history that the agent saw; dspy_session.read_examples makes
    dspy.Examples of them. Turns from before a reset are among them. Answers that were stopped are not, nor are those to
    a message that was changed or deleted since. An answer that was edited has its new words.
    """
    asyncio.run(_examples(store, prefix, min_score, agent, None if str(output) == "-" else output))


async def _examples(url: str, prefix: str, min_score: float, agent: str | None, output: Path | None) -> None:
    from dspy_session_bots.exporting import written_whole
    from dspy_session_bots.keeping import beside
    from dspy_session_bots.tables import bar, count
    from dspy_session_bots.training import write_examples

    async with beside(url) as store:
        keys = [info.key for info in await store.list(prefix)]
        with written_whole(output) as file, bar("Reading", len(keys)) as progress:
            found = await write_examples(store, keys, min_score, agent, file, progress)
    if not found:
        complain(
            f"nothing was found in {count(len(keys), 'conversation')} that people rated {min_score:g} or better "
            "(--min-score says how good a turn must be)"
        )
    if output is not None:
        typer.echo(f"{output}: {count(found, 'example')} of {count(len(keys), 'conversation')}")


@app.command(
    epilog=examples(
        "dspy-bots conversations forget slack:T1:C1:1700000000.000100",
        "dspy-bots conversations forget --user slack:T1:U1",
        "dspy-bots conversations forget --before 90d --yes",
    )
)
def forget(
    key: Annotated[
        str | None, typer.Argument(metavar="[KEY]", help="A conversation, all of it.", show_default=False)
    ] = None,
    *,
    user: Annotated[
        str | None,
        typer.Option(
            metavar="USER",
            help="What a user wrote and what it brought about, everywhere: slack:T1:U1, discord::123.",
            show_default=False,
        ),
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="What is older: 90d, 12h, or an ISO time.", show_default=False),
    ] = None,
    store: StoreOption = BOT_STORE,
    yes: YesOption = False,
) -> None:
    """Delete for good.

    From every table: turns, messages that wait, deliveries. A bot that runs notices.
    """
    if sum(what is not None for what in (key, user, before)) != 1:
        raise Misused("say what to forget: a KEY, --user, or --before", "conversations forget")
    from dspy_session.stores import Forget
    from dspy_session_bots.console import harmless
    from dspy_session_bots.moments import exact, moment_of

    if user is not None:
        if user.count(":") != 2 or user.startswith(":") or user.endswith(":"):
            raise Misused(
                f"{user!r} is no user: write PLATFORM:WORKSPACE:ID, such as slack:T1:U1 or discord::123",
                "conversations forget",
            )
        what, named = Forget(author=user), f"what {harmless(user)} wrote and what it brought about, everywhere"
    elif before is not None:
        at = moment_of(before, time.time())
        what, named = Forget(before=at), f"what was written before {exact(at)} UTC"
    else:
        what, named = Forget(key=key), f"the conversation {harmless(key or '')}"
    asyncio.run(_forget(store, what, named, yes=yes))


async def _forget(url: str, what: Forget, named: str, *, yes: bool) -> None:
    from dspy_session_bots.keeping import beside, refuse_unknown
    from dspy_session_bots.tables import count

    async with beside(url) as store:
        if what.key is not None and not (await store.read(what.key, 1)).length:
            await refuse_unknown(store, what.key)
        if not yes and not is_sure(f"Delete {named}, for good?"):
            complain("nothing was deleted (--yes does not ask)")
            raise typer.Exit(1)
        changed = await store.forget(what)
    nothing = "Nothing of that was kept."
    if what.author is not None:
        nothing += " Users are named as `conversations show KEY --json` says it: slack:T1:U1, discord::123."
    typer.echo(f"{count(changed, 'conversation')} changed." if changed else nothing)
