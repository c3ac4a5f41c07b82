"""Looking on at the requests of our own client: connections are paced, and the headers of answers are read."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from dspy_session_discord.transport.budget import Budget
from dspy_session_discord.transport.pace import Pace


def http_trace(pace: Pace, budget: Budget) -> aiohttp.TraceConfig:
    """What discord.py takes as ``http_trace``.

    Args:
        pace: Asked before each connection to the gateway.
        budget: Told of each answer.
    """

    async def on_request(_: aiohttp.ClientSession, __: Any, request: aiohttp.TraceRequestStartParams) -> None:
        if request.url.scheme in ("ws", "wss"):
            await asyncio.sleep(pace.pause(asyncio.get_running_loop().time()))

    async def on_answer(_: aiohttp.ClientSession, __: Any, answer: aiohttp.TraceRequestEndParams) -> None:
        now = asyncio.get_running_loop().time()
        budget.answered(answer.method, answer.url.path, answer.response.headers, now)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(on_request)
    trace.on_request_end.append(on_answer)
    return trace
