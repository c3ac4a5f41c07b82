"""Tools that ask people before they run."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any

import dspy

from dspy_session.errors import ConfigurationError, SessionError
from dspy_session.settings import setting
from dspy_session_chat.asking import ASKING, Asking
from dspy_session_chat.duration import seconds_of
from dspy_session_chat.wish import Who, Wish

_ASKS = "asks_first"
"""What is written on a function that asks: the agent makes a tool of its own of it."""


def ask_first(
    tool: Callable[..., Any] | dspy.Tool, *, who: Who = "author", timeout: str = "1h"
) -> Callable[..., Any] | dspy.Tool:
    """A tool that asks people before it runs.

        agent = dspy.ReAct("message -> reply", tools=[search, ask_first(delete_account)])

    In a bot's turn it posts what it is about to do, with buttons to approve or deny, and waits. Denied, or when nobody
    decides in time, it does not run and the agent reads why. A restart meanwhile loses nothing: the message is answered
    anew, and where the agent wants the same again the question stands, and its answer too.

    An approval is good for one run: an agent that wants the same twice asks twice. What it cannot promise is that the
    tool ran only once when the process dies after it ran and before the answer is committed (or somebody else changes
    the conversation in that time, by a forget-me for example): then the message is answered anew and the tool runs
    again, under the approval that stands. That is *at least once*; where twice would hurt, let the tool know a payment,
    an order or a deletion by an id of its own.

    Args:
        tool: The tool.
        who: Who may decide.
        timeout: How long they may take: ``"30m"``, ``"1h"``.

    Raises:
        ConfigurationError: An option does not fit.
        SessionError: When it is called outside of a bot's turn: there is nobody to ask.
    """
    if who not in ("author", "admins", "anyone"):
        raise ConfigurationError(f"who must be one of 'author', 'admins', 'anyone'; got {who!r}")
    seconds = seconds_of(timeout)
    if isinstance(tool, dspy.Tool):
        return dspy.Tool(
            _asking_first(tool.func, str(tool.name), who, seconds),
            name=tool.name,
            desc=tool.desc,
            args=tool.args,
            arg_types=tool.arg_types,
        )
    return _asking_first(tool, getattr(tool, "__name__", type(tool).__name__), who, seconds)


def _asking_first(run: Callable[..., Any], name: str, who: Who, seconds: float) -> Callable[..., Any]:
    signature = inspect.signature(run)

    @functools.wraps(run)
    def asked(*args: Any, **kwargs: Any) -> Any:
        asking: Asking | None = setting(ASKING)
        if asking is None:
            raise SessionError(f"{name} asks people first, and outside of a bot's turn there is nobody to ask")
        wish = Wish(name, dict(signature.bind(*args, **kwargs).arguments), who, seconds)
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # in a thread of the agent's
            refusal = asking.ask_from_a_thread(wish)
            return run(*args, **kwargs) if refusal is None else refusal
        return _run_if_allowed(asking, wish, lambda: run(*args, **kwargs))

    setattr(asked, _ASKS, True)
    return asked


def asks_first(run: object) -> bool:
    """Whether a tool's function asks people before it runs."""
    return getattr(run, _ASKS, False) is True


async def _run_if_allowed(asking: Asking, wish: Wish, run: Callable[[], Any]) -> Any:
    refusal = await asking.ask(wish)
    if refusal is not None:
        return refusal
    result = run()
    return await result if inspect.isawaitable(result) else result
