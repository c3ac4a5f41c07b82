"""Seeing that a bot's address takes what Slack signs, and nothing else: as Slack itself does when it is given one."""

from __future__ import annotations

import html
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from urllib.parse import unquote_plus

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout
from slack_sdk.signature import SignatureVerifier

from dspy_session_chat.finding import Finding
from dspy_session_slack.refusals import error_code
from dspy_session_slack.setup.scopes import Features, bot_scopes
from dspy_session_slack.setup.tokens import SIGNING
from dspy_session_slack.transport.signature import NOBODYS, SIGNATURE, TIME

SECONDS = 3.0
"""How long Slack waits for an answer."""

ADDRESS = "address"

MOST_OF_A_PAGE = 65_536
"""Bytes of a page that are looked at."""

_AUTHORIZE = re.compile(r"/oauth/v2/authorize\?[^\"'\s]*\bscope=(?P<scopes>[^&\"'\s]*)")
_OAUTH = "Give the bot's Slack oauth=OAuth(), with the app's client id and client secret, and start it."

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_START = "Start the bot, and see that {url} leads to it: past a proxy with TLS, and past no page to sign in at."


async def reach(url: str, secret: str, now: Callable[[], float] = time.time) -> AsyncIterator[Finding]:
    """What there is to say of the address that Slack brings everything to, as seen from this machine.

    Args:
        url: The address, ``"https://bot.example.com/slack/events"``.
        secret: The app's signing secret.
        now: The time, in seconds since 1970, UTC.
    """
    timeout = ClientTimeout(total=SECONDS)
    async with ClientSession(timeout=timeout, trust_env=True) as session:
        challenge = secrets.token_hex(16)
        body = json.dumps({"type": "url_verification", "challenge": challenge})
        at = str(int(now()))
        genuine = SignatureVerifier(secret).generate_signature(timestamp=at, body=body) or ""
        try:
            status, said = await _post(session, url, body, {TIME: at, SIGNATURE: genuine})
        except TimeoutError:
            yield _amiss(url, f"nothing answers at {url} within {SECONDS:g} s, and Slack waits no longer")
            return
        except (ClientError, OSError, ValueError) as error:
            yield _amiss(url, f"nothing answers at {url} ({error_code(error)})")
            return
        judged = _judged(url, status, is_answered=challenge in said)
        yield judged
        if judged.holds:
            yield await _unsigned(session, url, body, at)


async def reach_install(url: str, features: Features) -> Finding:
    """What there is to say of the page where workspaces install the app.

    Args:
        url: Its address, ``"https://bot.example.com/slack/install"``.
        features: What the app shall be set up for.
    """
    what = "installing"
    try:
        async with ClientSession(timeout=ClientTimeout(total=SECONDS), trust_env=True) as session:
            status, page = await _page(session, url)
    except (ClientError, OSError, ValueError) as error:
        return Finding(what, holds=False, says=f"nothing answers at {url} ({error_code(error)})", mend=_OAUTH)
    found = _AUTHORIZE.search(html.unescape(page))
    if found is None:
        return Finding(what, holds=False, says=f"no app can be installed at {url} (HTTP {status})", mend=_OAUTH)
    asked = set(re.split(r"[ ,]", unquote_plus(found.group("scopes"))))
    if lacks := [scope for scope in bot_scopes(features) if scope not in asked]:
        says = f"{url} does not ask for {', '.join(lacks)}"
        return Finding(what, holds=False, says=says, mend="Leave OAuth(scopes=…) out, or add what is missing there.")
    return Finding(what, holds=True, says=f"people can install the app at {url}")


async def _unsigned(session: ClientSession, url: str, body: str, at: str) -> Finding:
    """Whether the same is refused without Slack's signature."""
    what = "signatures"
    try:
        status, _ = await _post(session, url, body, {TIME: at, SIGNATURE: NOBODYS})
    except (ClientError, OSError) as error:
        return Finding(what, holds=None, says=f"whether it checks them is not known ({error_code(error)})")
    if 400 <= status < 500:
        return Finding(what, holds=True, says=f"checked: what is not signed by Slack is refused (HTTP {status})")
    says = f"not checked: what nobody signed is answered with HTTP {status}"
    return Finding(what, holds=False, says=says, mend=f"Let nothing answer at {url} in the bot's place.")


def _judged(url: str, status: int, *, is_answered: bool) -> Finding:
    """What an answer to Slack's challenge says."""
    if status == 200 and is_answered:
        return Finding(ADDRESS, holds=True, says=f"{url} answers Slack's challenge, as seen from here")
    if status in (401, 403):
        mend = f"{SIGNING.mend} The bot has to have the same one, and a clock that is right to five minutes."
        return Finding(ADDRESS, holds=False, says=f"{url} does not take what Slack signs (HTTP {status})", mend=mend)
    if status in _REDIRECTS:
        return _amiss(url, f"{url} leads elsewhere (HTTP {status}), and Slack does not follow")
    if status == 200:
        return _amiss(url, f"something else than the bot answers at {url}")
    return _amiss(url, f"no bot answers at {url} (HTTP {status})")


def _amiss(url: str, says: str) -> Finding:
    return Finding(ADDRESS, holds=False, says=says, mend=_START.format(url=url))


async def _post(session: ClientSession, url: str, body: str, headers: dict[str, str]) -> tuple[int, str]:
    kind = {"Content-Type": "application/json"}
    async with session.post(url, data=body.encode(), headers=kind | headers, allow_redirects=False) as answer:
        return answer.status, await _beginning(answer)


async def _page(session: ClientSession, url: str) -> tuple[int, str]:
    """A page's status and what it says, where it leads to before that."""
    async with session.get(url, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location", "") + " " + await _beginning(answer)


async def _beginning(answer: ClientResponse) -> str:
    """What an answer says, as far as anybody looks at it: it may be from anywhere."""
    said = b""
    async for piece in answer.content.iter_any():
        said += piece
        if len(said) > MOST_OF_A_PAGE:
            break
    return said.decode(errors="replace")
