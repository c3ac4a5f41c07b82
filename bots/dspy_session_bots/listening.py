"""A webhook's other end on this machine, to see what arrives: signatures are checked, and failing is done on demand."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web
from rich.console import Console
from rich.text import Text

from dspy_session_bots.console import harmless
from dspy_session_bots.playground import Verify, signed_with
from dspy_session_chat.stopping import stopped_by_signals

LONGEST_BODY = 64 * 2**20
"""Bytes of one request; a batch may hold many turns."""
LONGEST_SHOWN = 2000
"""Characters of a body that nobody signed; it is text from anybody."""
HOST = "127.0.0.1"


def signed_with_any(keys: Sequence[str]) -> Verify:
    """Verify signatures by any of several keys, as a receiver does while they are rotated.

    Raises:
        ConfigurationError: A key is malformed.
    """
    checks = [signed_with(key) for key in keys]
    return lambda headers, body: any(check(headers, body) for check in checks)


@dataclass
class Failing:
    """How often a receiver fails before it takes what comes.

    Args:
        status: What it answers then.
        times: How many requests are left that fail; None for all.
    """

    status: int
    times: int | None

    def next(self) -> int | None:
        """The status to fail with now; None to take what comes."""
        if self.times == 0:
            return None
        if self.times is not None:
            self.times -= 1
        return self.status


class Listener:
    """Shows what is posted to it.

    Args:
        verify: Checks signatures.
        console: Where to show it.
        failing: When to fail.
        now: The time of day, where the user is.
    """

    def __init__(
        self,
        verify: Verify,
        console: Console,
        failing: Failing,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        self._verify = verify
        self._console = console
        self._failing = failing
        self._now = now
        self._seen: Counter[str] = Counter()

    async def serve(self, listening: socket.socket) -> None:
        """Take what is posted until Ctrl-C or SIGTERM."""
        application = web.Application(client_max_size=LONGEST_BODY)
        application.router.add_post("/{path:.*}", self.take)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        with stopped_by_signals() as stop:
            try:
                await web.SockSite(runner, listening).start()
                await stop.asked.wait()
            finally:
                await runner.cleanup()

    async def take(self, request: web.Request) -> web.Response:
        """One request."""
        body = await request.read()
        if not self._verify(request.headers, body):
            self._show_unsigned(request.headers, body)
            return web.json_response({"error": "the signature is not valid"}, status=401)
        message_id = request.headers["webhook-id"]
        self._seen[message_id] += 1
        status = self._failing.next()
        message = _parse(body)
        self._show(message_id, message, status)
        if status is not None:
            return web.json_response({"error": "asked to fail"}, status=status)
        return web.Response(status=204)

    def _show(self, message_id: str, message: Any, status: int | None) -> None:
        times = self._seen[message_id]
        head = Text("\n")
        head.append(f"{self._now():%H:%M:%S}  ", style="dim")
        head.append(harmless(str(_in(message, "type") or "no type")), style="bold")
        key = _in(message, "data", "conversation", "key")
        head.append(f"  {harmless(str(key))}" if key else "", style="cyan")
        head.append("  signed", style="green")
        head.append(f", attempt {times}" if times > 1 else "", style="yellow")
        head.append(f", answered {status}" if status is not None else "", style="red")
        self._console.print(head)
        self._console.print(Text(f"          {harmless(message_id)}", style="dim"))
        if times == 1:
            text = harmless(json.dumps(message, ensure_ascii=False, indent=2).encode(errors="replace").decode())
            self._console.print(_coloured(text), soft_wrap=True)

    def _show_unsigned(self, headers: Mapping[str, str], body: bytes) -> None:
        head = Text("\n")
        head.append(f"{self._now():%H:%M:%S}  ", style="dim")
        head.append(f"WRONG SIGNATURE, answered 401: {_why(headers)}", style="bold red")
        self._console.print(head)
        text = harmless(body[:LONGEST_SHOWN].decode(errors="replace"))
        self._console.print(Text(text + ("…" if len(body) > LONGEST_SHOWN else ""), style="dim"), soft_wrap=True)


def _why(headers: Mapping[str, str]) -> str:
    missing = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if not headers.get(name)]
    if missing:
        return f"there is no header {' and no '.join(missing)}"
    return "it was made with another key, of another body, or more than 5 minutes ago"


def _coloured(text: str) -> Text:
    from rich.highlighter import JSONHighlighter

    return JSONHighlighter()(text)


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body[:LONGEST_SHOWN].decode(errors="replace")


def _in(message: Any, *names: str) -> Any:
    for name in names:
        message = message.get(name) if isinstance(message, dict) else None
    return message
