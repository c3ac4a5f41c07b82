"""``dspy-bots webhooks``: what waits for webhooks, and trying them out."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

import typer

# What DSPy stands behind is imported by the command that needs it, so that help is there at once.
from dspy_session_bots.console import complain, is_sure, log_to_terminal
from dspy_session_bots.options import (
    BOT_STORE,
    EnvFileOption,
    JsonOption,
    Misused,
    SecretOption,
    StoreOption,
    YesOption,
    examples,
    group,
)

if TYPE_CHECKING:
    from dspy_session_bots.redelivery import Span
    from dspy_session_webhook import Webhook

app = group(
    "See what waits for webhooks, and try them out.\n\nAll of it also while the bot runs.",
    "dspy-bots webhooks list",
    "dspy-bots webhooks resume webhook:https://example.com#0123456789ab",
    "dspy-bots webhooks replay https://example.com/turns --since 2h",
    "dspy-bots webhooks test https://example.com/turns",
    "dspy-bots webhooks listen --port 8080",
)

UrlArgument = Annotated[str, typer.Argument(metavar="URL", help="Where the webhook posts.")]


@app.command("list", epilog=examples("dspy-bots webhooks list", "dspy-bots webhooks list --json"))
def list_(*, store: StoreOption = BOT_STORE, as_json: JsonOption = False) -> None:
    """What waits, by sink and conversation."""
    asyncio.run(_list(store, parked=False, as_json=as_json))


@app.command(epilog=examples("dspy-bots webhooks parked"))
def parked(*, store: StoreOption = BOT_STORE, as_json: JsonOption = False) -> None:
    """What is not tried any more.

    Conversations whose first waiting message was refused to the end of the schedule; resume starts them again.
    """
    asyncio.run(_list(store, parked=True, as_json=as_json))


async def _list(url: str, *, parked: bool, as_json: bool) -> None:
    from dspy_session_bots.keeping import outbox_beside
    from dspy_session_bots.lanes import lane_to_json, show_lanes
    from dspy_session_bots.tables import print_json, screen

    async with outbox_beside(url) as (_, outbox):
        lanes = [lane for lane in await outbox.lanes() if not parked or lane.due_at is None]
    if as_json:
        for lane in lanes:
            print_json(lane_to_json(lane))
    elif lanes:
        show_lanes(screen(), lanes, time.time())
    else:
        typer.echo("Nothing is parked." if parked else "Nothing waits.")


@app.command(
    epilog=examples(
        "dspy-bots webhooks resume webhook:https://example.com#0123456789ab",
        "dspy-bots webhooks resume webhook:https://example.com#0123456789ab slack:T1:C1",
    )
)
def resume(
    sink: Annotated[str, typer.Argument(metavar="SINK", help="The sink, as list shows it.")],
    key: Annotated[
        str | None, typer.Argument(metavar="[KEY]", help="One conversation; else all.", show_default=False)
    ] = None,
    *,
    store: StoreOption = BOT_STORE,
) -> None:
    """Try again what is parked.

    A sink that answered 410 Gone is told of conversations again, too.
    """
    asyncio.run(_resume(store, sink, key))


async def _resume(url: str, sink: str, key: str | None) -> None:
    from dspy_session_bots.keeping import outbox_beside
    from dspy_session_bots.tables import count

    async with outbox_beside(url) as (_, outbox):
        known = sorted({lane.sink for lane in await outbox.lanes()})
        resumed = await outbox.resume(sink, key)
    if resumed:
        typer.echo(f"{count(resumed, 'conversation')} will be tried again.")
    elif sink in known:
        typer.echo("Nothing of it is parked.")
    else:
        there = f"; there are {', '.join(known)}" if known else ""
        typer.echo(f"Nothing waits for {sink}{there}. If it was disabled, it is told of conversations again.")


@app.command(
    epilog=examples(
        "dspy-bots webhooks replay https://example.com/turns --since 2h",
        "dspy-bots webhooks replay https://example.com/turns --since 2026-11-23T08:00 --until 2026-11-23T12:00 --yes",
    )
)
def replay(
    url: UrlArgument,
    *,
    since: Annotated[
        str, typer.Option(metavar="WHEN", help="From when on: 2h, 7d, or an ISO time (UTC unless it says otherwise).")
    ],
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Up to when; now if nothing is said.", show_default=False)
    ] = None,
    conversation: Annotated[
        str | None, typer.Option(metavar="KEY", help="Of one conversation only.", show_default=False)
    ] = None,
    store: StoreOption = BOT_STORE,
    env_file: EnvFileOption = None,
    yes: YesOption = False,
) -> None:
    """Deliver again what happened.

    Turns, scores, undos, resets and forks of that time are made again from the journals, with the ids that they had,
    and wait behind what waits already. A bot with this webhook delivers them: the one that runs, or the next that
    starts. What code of yours keeps from the webhook (fields=, redact=, events=) is not kept from it by this command.
    """
    log_to_terminal(verbose=False)
    from dspy_session_bots.config import read_settings
    from dspy_session_bots.moments import moment_of
    from dspy_session_bots.redelivery import Span, keys_of, webhook_to

    now = time.time()
    span = Span(moment_of(since, now), now if until is None else moment_of(until, now))
    if span.since >= span.until:
        raise Misused("--since must be before --until", "webhooks replay")
    webhook = webhook_to(url, keys_of(read_settings(env_file), None, "replay"))
    asyncio.run(_replay(store, webhook, span, conversation, yes=yes))


async def _replay(url: str, webhook: Webhook, span: Span, key: str | None, *, yes: bool) -> None:
    from dspy_session_bots.keeping import outbox_beside
    from dspy_session_bots.redelivery import deliveries_of, keys_in
    from dspy_session_bots.tables import bar, count

    async with outbox_beside(url) as (store, outbox):
        keys = [each async for each in keys_in(store, span, key)]
        # Counted before anything is written: one that cannot be read must not end it halfway.
        counts: dict[str, int] = {}
        with bar("Reading", len(keys)) as progress:
            for each in keys:
                counts[each] = len(await deliveries_of(store, each, span, webhook))
                progress.advance()
        keys = [each for each in keys if counts[each]]
        what = f"{count(sum(counts.values()), 'message')} of {count(len(keys), 'conversation')}"
        if not keys:
            typer.echo("Nothing happened in that time.")
            return
        if not yes and not is_sure(f"Deliver {what} to {webhook.name} again?"):
            complain("nothing will be delivered (--yes does not ask)")
            raise typer.Exit(1)
        with bar("Writing", len(keys)) as progress:
            for each in keys:
                await outbox.enqueue(each, await deliveries_of(store, each, span, webhook))
                progress.advance()
        standing = [lane.key for lane in await outbox.lanes(webhook.name) if lane.due_at is None and lane.key in counts]
    typer.echo(f"{what} will be delivered to {webhook.name}.")
    if standing:
        typer.echo(
            f"{count(len(standing), 'conversation')} of those are parked: dspy-bots webhooks resume {webhook.name}"
        )


@app.command("test", epilog=examples("dspy-bots webhooks test https://example.com/turns"))
def post_one(url: UrlArgument, *, secret: SecretOption = None, env_file: EnvFileOption = None) -> None:
    """Post a signed example there.

    The exit code is 1 unless the answer is 2xx.
    """
    log_to_terminal(verbose=False)
    from dspy_session_bots.config import read_settings
    from dspy_session_bots.redelivery import keys_of, post_example

    taken, said = asyncio.run(post_example(url, keys_of(read_settings(env_file), secret, "test")))
    if not taken:
        complain(said)
        raise typer.Exit(1)
    typer.echo(said)


@app.command(
    epilog=examples("dspy-bots webhooks listen --port 8080", "dspy-bots webhooks listen --fail 503 --fail-times 3")
)
def listen(
    *,
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)] = 0,
    secret: SecretOption = None,
    fail: Annotated[
        int | None,
        typer.Option(metavar="STATUS", help="Answer so instead of taking it.", min=300, max=599, show_default=False),
    ] = None,
    fail_times: Annotated[
        int | None, typer.Option(metavar="N", help="Only the first N times.", min=1, show_default=False)
    ] = None,
    env_file: EnvFileOption = None,
) -> None:
    """See what a webhook posts, on this machine.

    Each message is shown, and whether its signature is right, until Ctrl-C. Without a key a new one is made.
    """
    log_to_terminal(verbose=False)
    from dspy_session_bots.config import read_settings
    from dspy_session_bots.listening import HOST, Failing, Listener, signed_with_any
    from dspy_session_bots.playground.port import address
    from dspy_session_bots.playground.port import listen as listen_on
    from dspy_session_bots.signing_key import new_signing_key
    from dspy_session_bots.tables import screen

    known = read_settings(env_file).webhook_secret
    keys = (secret or (known.get_secret_value() if known is not None else "")).split()
    is_new = not keys
    keys = keys or [new_signing_key()]
    times = (0 if fail is None else None) if fail_times is None else fail_times
    listener = Listener(signed_with_any(keys), screen(), Failing(fail or 500, times))
    listening = listen_on(HOST, port)
    if is_new:
        typer.echo(f"Put this into the bot's .env:\n\n  WEBHOOK_SECRET={keys[0]}\n")
    typer.echo(f"{address(listening)} takes what is posted · Ctrl-C stops")
    asyncio.run(listener.serve(listening))
