"""``dspy-bots conversations`` once more: taking what a bot has kept to another store, and the key to it."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

# What DSPy stands behind is imported by the command that needs it, so that help is there at once.
from dspy_session_bots.console import complain
from dspy_session_bots.options import BOT_STORE, Misused, OutputOption, PrefixOption, StoreOption, examples

MANY = 1_000
"""Conversations in which messages wait that are counted."""

SHOWN = 20
"""Conversations that are named where something is wrong with them."""

app = typer.Typer()


@app.command(
    epilog=examples(
        "dspy-bots conversations export --output conversations.jsonl",
        "dspy-bots conversations export --prefix slack:T1: | gzip > slack.jsonl.gz",
    )
)
def export(
    key: Annotated[
        str | None, typer.Argument(metavar="[KEY]", help="One conversation; else all.", show_default=False)
    ] = None,
    *,
    store: StoreOption = BOT_STORE,
    prefix: PrefixOption = "",
    output: OutputOption = Path("-"),
) -> None:
    """Everything, as JSON lines.

    Each entry of each journal is an object on a line; nothing that was said in conversations is left out. import reads
    it.
    """
    if key is not None and prefix:
        raise Misused("say which conversations: a KEY, or --prefix, not both", "conversations export")
    asyncio.run(_export(store, key, prefix, None if str(output) == "-" else output))


async def _export(url: str, key: str | None, prefix: str, output: Path | None) -> None:
    from dspy_session.stores import Inbox
    from dspy_session_bots.exporting import export as write
    from dspy_session_bots.exporting import written_whole
    from dspy_session_bots.keeping import beside, refuse_unknown
    from dspy_session_bots.tables import bar, count

    async with beside(url) as store:
        keys = [info.key for info in await store.list(prefix if key is None else key)]
        if key is not None:
            if key not in keys:
                await refuse_unknown(store, key)
            keys = [key]
        with written_whole(output) as file, bar("Writing", len(keys)) as progress:
            entries = await write(store, keys, file, progress)
        unanswered = len(await store.waiting(MANY)) if isinstance(store, Inbox) else 0
    if output is not None:
        typer.echo(f"{output}: {count(entries, 'entry', 'entries')} of {count(len(keys), 'conversation')}")
    if unanswered:
        complain(
            f"messages wait in {count(unanswered, 'conversation')}, and are not exported: a bot has yet to answer them"
        )


@app.command(
    "import",
    epilog=examples(
        "dspy-bots conversations import conversations.jsonl --store sqlite:///new.db",
        "gunzip -c slack.jsonl.gz | dspy-bots conversations import - --store …",
    ),
)
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What export wrote; - is stdin.", show_default=False)],
    *,
    store: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Where to; made if it is not there. No bot may be using it.",
            show_default=False,
        ),
    ],
    tokens_from: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The store that FILE is from, for what stands in no file: the tokens of Slack's workspaces that "
            "installed the app.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Take in what export wrote.

    With STORE_KEYS in the environment or in .env it is encrypted. What the store has already stays as it is, so
    this may be stopped at any moment and run again, also with a later export.
    """
    asyncio.run(_import(None if str(file) == "-" else file, store, tokens_from))


async def _import(path: Path | None, url: str, tokens_from: str | None) -> None:
    from dspy_session_bots.exported import opened, read_lines
    from dspy_session_bots.importing import take_in, take_kept
    from dspy_session_bots.keeping import alone, beside, shown, vault_of
    from dspy_session_bots.tables import bar, count

    name = "stdin" if path is None else str(path)
    async with alone(url) as (store, inbox):
        with opened(path) as (file, total), bar("Importing", total) as progress:
            taken = await take_in(store, inbox, read_lines(file, name, progress.advance))
        tokens = 0
        if tokens_from is not None:
            async with beside(tokens_from) as old:
                tokens = await take_kept(await vault_of(old, tokens_from), await vault_of(store, url))
    for key, number in islice(taken.others.items(), SHOWN):
        complain(f"left out: the store has another conversation {key!r}, from entry {number} on")
    if len(taken.others) > SHOWN:
        complain(f"left out as well: {count(len(taken.others) - SHOWN, 'further conversation')}")
    there = f"; {count(taken.there, 'conversation')} there already" if taken.there else ""
    written = f"{count(taken.entries, 'entry', 'entries')} of {count(taken.conversations, 'conversation')}"
    kept = f"; {count(tokens, 'token')}" if tokens else ""
    typer.echo(f"{shown(url)}: {written}{there}{kept}")
    if taken.others:
        raise typer.Exit(1)


@app.command(
    epilog=examples(
        "dspy-bots conversations key",
        "dspy-bots conversations key >> .env",
    )
)
def key() -> None:
    """Make a key to encrypt a store with.

    It is printed, and kept nowhere: without it nobody reads the store any more. Several stand in STORE_KEYS with commas
    between them, and the first one encrypts.
    """
    from dspy_session.stores import SealingKey

    if _continues_a_file():  # which may end without a newline: nothing would be encrypted then
        typer.echo()
    typer.echo(f"STORE_KEYS={SealingKey.generate().reveal()}")


def _continues_a_file() -> bool:
    """Whether stdout is added to what stands in a file."""
    try:
        found = os.fstat(sys.stdout.fileno())
    except OSError:  # it is no file at all
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size > 0
