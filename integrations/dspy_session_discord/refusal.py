"""Why Discord refused, in one line that says how to mend it."""

from __future__ import annotations

import aiohttp
import discord

from dspy_session.errors import PlatformError, PlatformUnavailableError
from dspy_session_discord.error_codes import (
    CLOSED_DMS,
    INVALID_TOKEN,
    MISSING_ACCESS,
    MISSING_PERMISSIONS,
    NO_REPLY_WITHOUT_HISTORY,
    TAG_NEEDED,
    THREAD_LOCKED,
    TOO_MANY_THREADS,
    UNKNOWN_CHANNEL,
    UNKNOWN_MESSAGE,
    UNKNOWN_WEBHOOK,
)
from dspy_session_discord.setup.wanted import listed, wanted

UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError)
"""What discord.py lets through when there is no answer at all."""

FAILURES = (discord.DiscordException, *UNREACHABLE)
"""What discord.py raises when something does not work."""

PORTAL = "https://discord.com/developers/applications"
"""Where the owner of an application sets it up."""

_ITS_PAGE = f"{PORTAL} → your app → Bot"

NO_TOKEN = f"Discord needs a token: Discord(token=…). Make one at {_ITS_PAGE} → Reset Token."
REFUSED_TOKEN = f"Discord refuses the token: it is wrong or was reset. Make a new one at {_ITS_PAGE} → Reset Token."
REFUSED_INTENTS = (
    "Discord does not grant the privileged intents that the bot asks for. Switch them on at "
    f"{_ITS_PAGE} → Privileged Gateway Intents, or leave them out of the client's intents."
)
NO_MESSAGE_CONTENT = (
    "Discord keeps the text of messages from this bot: it answers direct messages and mentions only. To let people go "
    f"on in a thread without a mention, switch on {_ITS_PAGE} → Message Content Intent."
)

_CLOSED_FOR_GOOD = {
    4004: REFUSED_TOKEN,
    4010: "Discord knows no such shard. Give each process its own of the same number: shards=Shards((0, 1), of=4).",
    4011: 'The bot is in more servers than one connection may hear. Spread them over several: Discord(shards="auto").',
    4012: "Discord no longer speaks with this version of discord.py. Bring it up to date: pip install -U discord.py.",
    4013: "Discord does not know the intents that the bot asks for. Give its client those of discord.Intents alone.",
}
"""By the code of the closing frame, after which it is no use to connect again."""

ONE_PERSON_ALONE = (
    "it is for one person alone, and Discord shows that in the fifteen minutes after a command or a press and no longer"
)

_MENDS = {
    UNKNOWN_CHANNEL: "the channel or thread is gone",
    UNKNOWN_MESSAGE: "the message is gone",
    TAG_NEEDED: "the forum wants a tag for each post",
    MISSING_ACCESS: "the bot cannot see the channel: give its role View Channel there",
    UNKNOWN_WEBHOOK: ONE_PERSON_ALONE,
    INVALID_TOKEN: ONE_PERSON_ALONE,
    CLOSED_DMS: "this person takes no direct messages from the bot",
    MISSING_PERMISSIONS: "the bot's role lacks a permission there: it needs "
    + listed(each for each in wanted() if each.is_asked_for),
    NO_REPLY_WITHOUT_HISTORY: "the bot's role needs Read Message History there to reply to a message",
    THREAD_LOCKED: "the thread is locked",
    TOO_MANY_THREADS: "the server has as many open threads as Discord allows",
}

TURNED_AWAY = "it turns this address away for too many requests (Cloudflare's error 1015)"

TURNED_AWAY_SECONDS = 60.0
"""Seconds to keep away where Cloudflare does not say how long."""

_LONGEST = 200
"""Characters of an answer of Discord's that are passed on; Cloudflare answers with whole pages."""


def malformed_token(flaw: str) -> str:
    """What to say of a token that cannot be one.

    Args:
        flaw: Why, as what follows its name: ``"holds characters that no token has"``.
    """
    return f"The Discord token {flaw}. Copy it anew from {_ITS_PAGE} → Reset Token."


def explain(error: Exception) -> str:
    """``error`` in one line, with what to do about it where we know."""
    if turned_away_for(error):
        return TURNED_AWAY
    if isinstance(error, TimeoutError):
        return "no answer came"
    if isinstance(error, discord.HTTPException):
        said = " ".join(error.text.split())[:_LONGEST]
        return _MENDS.get(error.code) or f"it answered {error.status} {said}".rstrip()
    return " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]


def turned_away_for(error: Exception) -> float:
    """Seconds for which nothing is to be asked, after an answer of Cloudflare's, which stands in front of Discord; 0
    after every other error.
    """
    if not isinstance(error, discord.HTTPException) or error.status != 429 or not error.text.lstrip().startswith("<"):
        return 0.0
    try:
        return float(error.response.headers["Retry-After"])
    except (KeyError, ValueError):
        return TURNED_AWAY_SECONDS


def refused_to_post(error: Exception, why: str = "") -> PlatformError:
    """Why an answer could not be posted, and whether it is worth trying again.

    Args:
        error: What was raised.
        why: The reason, where more is known than the error says.
    """
    passing = not isinstance(error, discord.DiscordException) or _passes(error)
    kind = PlatformUnavailableError if passing else PlatformError
    return kind(f"Discord did not take the answer: {why or explain(error)}")


def _passes(error: Exception) -> bool:
    return isinstance(error, discord.HTTPException) and (error.status == 429 or error.status >= 500)


def login_refused(error: Exception) -> PlatformError:
    """What to tell the operator when logging in failed."""
    if isinstance(error, discord.LoginFailure):
        return PlatformError(REFUSED_TOKEN)
    if isinstance(error, discord.HTTPException):
        kind = PlatformUnavailableError if _passes(error) else PlatformError
        return kind(f"Discord did not let the bot log in: {explain(error)}")
    return PlatformUnavailableError(
        f"Cannot reach Discord: {explain(error)}. Check the network, the proxy and the firewall."
    )


def connection_refused(error: Exception) -> PlatformError:
    """What to tell the operator when the gateway closed for good."""
    if isinstance(error, discord.PrivilegedIntentsRequired):
        return PlatformError(REFUSED_INTENTS)
    if isinstance(error, discord.ConnectionClosed) and error.code in _CLOSED_FOR_GOOD:
        return PlatformError(_CLOSED_FOR_GOOD[error.code])
    return PlatformError(f"Discord ended the connection for good: {explain(error)}")
