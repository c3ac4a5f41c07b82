"""Looking over how a Slack app is set up: its tokens, what they are allowed, and whether events come in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from aiohttp import ClientError, ClientSession
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import PlatformError
from dspy_session_chat.finding import Finding
from dspy_session_slack.refusals import error_code, is_passing
from dspy_session_slack.setup.manifest import EVENTS_PATH, INSTALL_PATH
from dspy_session_slack.setup.reaching import reach, reach_install
from dspy_session_slack.setup.scopes import Features, bot_events, bot_scopes, needs
from dspy_session_slack.setup.tokens import APP, APPS, BOT, SIGNING, Wanted, swapped
from dspy_session_slack.setup.trial_socket import Greeted, greeted
from dspy_session_slack.transport.sockets import CROWDED, MOST
from dspy_session_slack.web_client import keeping_connections, web_client

LIMITED = frozenset({"ratelimited", "rate_limited"})
EVENTS = "events"

SWITCH = "On the page Socket Mode ({page}), switch on Enable Socket Mode."
FEWER = f"Stop a bot that runs with this token, or give it fewer sockets: Slack lets an app have {MOST} connections."

_FAILURES = (SlackApiError, ClientError, OSError)

_WAITS = AsyncRateLimitErrorRetryHandler
"""Waits as long as Slack says, for minutes perhaps: whoever looks on is better told."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Waiting for an event, to see that they come.

    Args:
        seconds: How long.
        begun: Told whom to write to, ``"@helper"``, once the socket is open.
    """

    seconds: float
    begun: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class OverSocket:
    """Slack reaches the bot over a socket.

    Args:
        app_token: The app-level token, if there is one.
        listening: Wait for an event; Slack tells nobody which ones it sends.
    """

    app_token: str | None
    listening: Listening | None = None


@dataclass(frozen=True, slots=True)
class OverHttp:
    """Slack reaches the bot at an address.

    Args:
        url: The bot's address, ``"https://bot.example.com"``.
        secret: The signing secret, if there is one.
    """

    url: str
    secret: str | None

    @property
    def events_url(self) -> str:
        """Where Slack brings what happens."""
        return self.url + EVENTS_PATH


@dataclass(frozen=True, slots=True)
class _Bot:
    """What is known of the bot that a token is of.

    Args:
        findings: What there is to say of it.
        name: Its handle; empty if Slack does not tell.
        app_id: Its app; empty if Slack does not tell.
    """

    findings: Sequence[Finding] = field(default_factory=list)
    name: str = ""
    app_id: str = ""


async def check(
    bot_token: str | None, way: OverSocket | OverHttp, features: Features, *, client: AsyncWebClient | None = None
) -> list[Finding]:
    """Look over how an app is set up, as far as Slack tells.

    Where workspaces install the app, each has a bot token of its own; one that is given is looked at all the same.

    Args:
        bot_token: The bot token, if there is one.
        way: How Slack reaches the bot.
        features: What the app shall be set up for.
        client: A client to call Slack with, set up with a proxy, an address or TLS of one's own.
    """
    if isinstance(way, OverSocket) and (found := swapped(bot_token, way.app_token)):
        return found
    caller = web_client(client, bot_token)
    caller.retry_handlers = [each for each in caller.retry_handlers if not isinstance(each, _WAITS)]
    async with keeping_connections(caller):
        many = features.workspaces and not bot_token
        bot = _Bot() if many else await _check_bot(caller, bot_token, features)
        if isinstance(way, OverHttp):
            reached = [each async for each in _check_address(way, features)]
        else:
            reached = [each async for each in _check_socket(caller, way, bot, features)]
    found = [*bot.findings, *reached]
    known = {each.what: each.holds for each in found}
    if not (known.get(BOT.what, many) and reached[0].holds):
        return found  # there is more urgent work than to look at switches
    return [*found, *(each for each in _untold(way, features) if each.what not in known)]


async def _check_address(way: OverHttp, features: Features) -> AsyncIterator[Finding]:
    """What there is to say of the signing secret, and of the address that it is for."""
    if (wrong := SIGNING.wrong(way.secret)) is not None:
        yield wrong
        return
    yield Finding(SIGNING.what, holds=True, says=f"it looks like one: {SIGNING.looks}")
    async for finding in reach(way.events_url, str(way.secret)):
        yield finding
    if features.workspaces:
        yield await reach_install(way.url + INSTALL_PATH, features)


async def _check_bot(client: AsyncWebClient, token: str | None, features: Features) -> _Bot:
    if (wrong := BOT.wrong(token)) is not None:
        return _Bot([wrong])
    try:
        answer = await client.auth_test()
    except _FAILURES as error:
        return _Bot([_refused(BOT, error)])
    who = f"@{answer.get('user')} in {answer.get('team')} ({answer.get('team_id')})"
    app_id = await _app_of(client, answer.get("bot_id"))
    granted = answer.headers.get("x-oauth-scopes")
    if granted is None:
        scopes = [Finding("scopes", holds=None, says="Slack does not tell which ones the bot token has")]
    else:
        scopes = list(_check_scopes({scope.strip() for scope in granted.split(",")} - {""}, features, app_id))
    return _Bot([Finding(BOT.what, holds=True, says=who), *scopes], str(answer.get("user") or ""), app_id)


def _check_scopes(granted: set[str], features: Features, app_id: str) -> Iterator[Finding]:
    """What the bot can do with its scopes, and which it has for nothing."""
    wanted = bot_scopes(features)
    mend = (
        f"On the page OAuth & Permissions ({_page(app_id, 'oauth')}), under Bot Token Scopes, add "
        f"{_listed(scope for scope in wanted if scope not in granted)}; then reinstall the app, at the top of the page."
    )
    for need in needs(features):
        lacks = [scope for scope in need.scopes if scope not in granted]
        if lacks:
            yield Finding(need.does, holds=False, says=f"lacks {_listed(lacks)}", mend=mend)
        elif need.scopes:
            yield Finding(need.does, holds=True, says=_listed(need.scopes))
    if further := sorted(granted.difference(wanted)):
        yield Finding("further scopes", holds=None, says=f"{_listed(further)}: the bot can do without")


async def _app_of(client: AsyncWebClient, bot_id: str | None) -> str:
    """The app that a bot is of; empty if Slack does not tell, for want of users:read say."""
    if not bot_id:
        return ""
    try:
        return str(((await client.bots_info(bot=bot_id)).get("bot") or {}).get("app_id") or "")
    except _FAILURES:
        return ""


async def _check_socket(
    client: AsyncWebClient, way: OverSocket, bot: _Bot, features: Features
) -> AsyncIterator[Finding]:
    """What there is to say of the app-level token and of a socket that is opened with it."""
    if (wrong := APP.wrong(way.app_token)) is not None:
        yield wrong
        return
    try:
        answer = await client.apps_connections_open(app_token=str(way.app_token))
    except _FAILURES as error:
        yield _refused(APP, error)
        return
    yield Finding(APP.what, holds=True, says=_listed(APP.scopes))
    try:
        async with greeted(_session(client), answer["url"], client.proxy) as greeting:
            yield Finding("socket", holds=True, says="opened, and Slack greeted it")
            for finding in _check_greeting(greeting, bot):
                yield finding
            if way.listening is not None:
                yield await _check_events(greeting, bot, features, way.listening)
    except PlatformError as error:
        mend = FEWER if str(error) == CROWDED else SWITCH.format(page=_page(bot.app_id, "socket-mode"))
        yield Finding("socket", holds=False, says=f"Slack gives the app none ({error})", mend=mend)
    except (*_FAILURES, ValueError) as error:
        yield Finding(
            "socket",
            holds=False,
            says=f"it cannot be opened ({error_code(error)})",
            mend="See that the network, a proxy or a firewall lets websockets (wss://) to slack.com through.",
        )


def _check_greeting(greeting: Greeted, bot: _Bot) -> Iterator[Finding]:
    if bot.app_id and greeting.app_id and bot.app_id != greeting.app_id:
        yield Finding(
            "one app",
            holds=False,
            says=f"the bot token is of the app {bot.app_id}, the app-level token of {greeting.app_id}",
            mend=f"Take both tokens from one app's settings. {BOT.where} {APP.where}",
        )
    if (others := greeting.connections - 1) > 0:
        says = f"{others} open besides: a bot runs with this token, and Slack hands each event to one of them"
        yield Finding("other sockets", holds=None, says=says)


async def _check_events(greeting: Greeted, bot: _Bot, features: Features, listening: Listening) -> Finding:
    listening.begun(f"@{bot.name}" if bot.name else "the bot")
    try:
        async with asyncio.timeout(listening.seconds):
            came = await greeting.event()
    except TimeoutError:
        elsewhere = "; a bot that runs with this token may have got it instead" if greeting.connections > 1 else ""
        return Finding(
            EVENTS,
            holds=False,
            says=f"none came in {listening.seconds:g} s{elsewhere}",
            mend=f"On the page Event Subscriptions ({_page(bot.app_id, 'event-subscriptions')}), switch on Enable "
            f"Events, and see that Subscribe to bot events names {_listed(bot_events(features))}; then save, and "
            "reinstall the app.",
        )
    return Finding(EVENTS, holds=True, says=f"they come: {came}")


def _untold(way: OverSocket | OverHttp, features: Features) -> Iterator[Finding]:
    """What Slack tells nobody, so that a person has to look."""
    there = ""
    if isinstance(way, OverHttp):  # an address on this machine is not the one that Slack knows
        public = way.url.startswith("https://")
        there = f" with the Request URL {way.events_url}" if public else " with a Request URL that leads to the bot"
    for what, page, switches in (
        (EVENTS, "Event Subscriptions", f"Enable Events is on{there}, and there is {_listed(bot_events(features))}"),
        ("buttons", "Interactivity & Shortcuts", f"Interactivity is on{there}"),
        (
            "messages to the bot",
            "App Home",
            "Messages Tab is on, and Allow users to send Slash commands and messages from the messages tab is ticked",
        ),
    ):
        yield Finding(what, holds=None, says=f"see yourself: on the page {page}, {switches}")


def _refused(token: Wanted, error: Exception) -> Finding:
    """Why Slack did not take a token."""
    code = error_code(error)
    if code in LIMITED:
        says, mend = "Slack is asked too often for now", "Wait a minute, and check again."
    elif is_passing(error):
        says, mend = f"Slack cannot be reached ({code})", "Check the network, the proxy and status.slack.com."
    elif code == "missing_scope":
        says, mend = f"it lacks {_listed(token.scopes)}", token.mend
    else:
        says, mend = f"Slack does not accept it ({code})", token.mend
    return Finding(token.what, holds=False, says=says, mend=mend)


def _session(client: AsyncWebClient) -> ClientSession:
    session = client.session
    assert session is not None, "it keeps its connections"
    return session


def _page(app_id: str, page: str) -> str:
    """The address of a page of the app's settings; that of all apps if it is not known which one it is."""
    return f"{APPS}/{app_id}/{page}" if app_id else APPS


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
