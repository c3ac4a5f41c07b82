"""An OpenAI-compatible server on 127.0.0.1 with a `StubModel` behind it, for programs in a process of their own.

    async with open_model_server(StubModel(lambda prompt: {"reply": "Hello!"})) as server:
        environment = server.environment  # for a child process, whose `--lm openai/stub` then reaches the stub

It takes one key, streams when asked to, and refuses as the real one does. ``server.stub.prompts`` is what it was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiohttp import web
from dspy.lm15 import Message, Request

from tests.stub_lm import StubModel

KEY = "sk-loopback"

_PATIENCE = 30.0


class ModelServer:
    """Answers ``POST /v1/chat/completions``."""

    def __init__(self, stub: StubModel) -> None:
        self.stub = stub
        self.address = ""
        self.asked = asyncio.Event()
        """Set by each request, before it is answered."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead ``openai/…`` here. They make DSPy use LiteLLM, which takes seconds to import."""
        return {"OPENAI_API_BASE": f"{self.address}/v1", "OPENAI_API_KEY": KEY}

    @property
    def lm(self) -> str:
        """A ``dspy.LM`` that asks here, as Python; for programs that are in a hurry."""
        options = f"api_base={self.address + '/v1'!r}, api_key={KEY!r}, cache=False, num_retries=0"
        return f"dspy.LM('openai/stub', {options})"

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", self._complete)
        return application

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            error = {
                "message": "Incorrect API key provided.",
                "type": "invalid_request_error",
                "code": "invalid_api_key",
            }
            return web.json_response({"error": error}, status=401)
        body = await request.json()
        self.asked.set()
        steps = await self.stub.aask(_request(body))
        if not body.get("stream"):
            return web.json_response(_whole(await _said(steps)))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):  # who asked has gone
            for step in steps:
                if isinstance(step, asyncio.Event):
                    await _wait(step)
                else:
                    await response.write(_event({"role": "assistant", "content": step}))
            await response.write(_event({}, finish="stop") + b"data: [DONE]\n\n")
        return response


@contextlib.asynccontextmanager
async def open_model_server(stub: StubModel) -> AsyncIterator[ModelServer]:
    """A server that listens while the block runs, on a port of its own."""
    server = ModelServer(stub)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        server.address = f"http://{host}:{port}"
        yield server
    finally:
        await runner.cleanup()


def _request(body: dict[str, Any]) -> Request:
    said = [message for message in body["messages"] if message["role"] != "system"]
    system = "\n".join(message["content"] for message in body["messages"] if message["role"] == "system")
    messages = tuple(getattr(Message, message["role"])(message["content"]) for message in said)
    return Request(model=body["model"], messages=messages, system=system or None)


async def _said(steps: Sequence[Any]) -> str:
    for step in steps:
        if isinstance(step, asyncio.Event):
            await _wait(step)
    return "".join(step for step in steps if isinstance(step, str))


async def _wait(event: asyncio.Event) -> None:
    async with asyncio.timeout(_PATIENCE):
        await event.wait()


def _whole(text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "stub",
        "choices": [choice],
        "usage": usage,
    }


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "stub", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n".encode()
