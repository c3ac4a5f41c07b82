"""``dspy-bots webhooks listen``: the real program at the other end of a real webhook."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest

from dspy_session_bots.listening import Failing
from dspy_session_bots.signing_key import new_signing_key
from tests.bots.command_line import dspy_bots, interrupted, started, until
from tests.bots.kept import SLACK, Writer
from tests.loopback.receiver import SECRET


async def test_what_is_posted_is_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"WEBHOOK_SECRET={new_signing_key()} {SECRET}\n", encoding="utf-8")
    async with started("webhooks", "listen", folder=tmp_path) as program:
        url = (await until(program, "Ctrl-C stops")).split()[0]
        posted = await dspy_bots("webhooks", "test", f"{url}some/path", "--secret", SECRET, folder=tmp_path)
        assert posted.code == 0
        assert "took it: HTTP 204" in posted.out
        shown = await until(program, "\n}\n")
        assert re.match(r"\n\d\d:\d\d:\d\d  conversation\.turn  example::webhooks-test  signed\n", shown)
        assert '      "reply": "It does."\n' in shown
        wrong = await dspy_bots("webhooks", "test", url, "--secret", new_signing_key(), folder=tmp_path)
        assert "refused it: HTTP 401" in wrong.complaint
        assert "WRONG SIGNATURE, answered 401: it was made with another key" in await until(program, '"It does."')
        async with aiohttp.ClientSession() as client, client.post(url, data=b"\x1b[31mhello\xff") as response:
            assert response.status == 401
        said = await until(program, "hello")
        assert "there is no header webhook-id and no webhook-timestamp and no webhook-signature\n[31mhello" in said
        async with aiohttp.ClientSession() as client, client.get(url) as response:
            assert response.status == 405
        result = await interrupted(program)
    assert (result.code, result.err) == (0, "")


async def test_without_a_key_one_is_made(tmp_path: Path) -> None:
    async with started("webhooks", "listen", folder=tmp_path) as program:
        said = await until(program, "Ctrl-C stops")
        [line] = re.findall(r"^  (WEBHOOK_SECRET=whsec_\S+)$", said, re.MULTILINE)
        url = said.split()[-8]
        assert url.startswith("http://127.0.0.1:")
        posted = await dspy_bots("webhooks", "test", url, folder=tmp_path, **dict([line.split("=", 1)]))
        assert posted.code == 0
        assert (await interrupted(program)).code == 0


async def test_failing_on_demand_makes_a_bot_try_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dspy_session_webhook import Webhook

    monkeypatch.setattr("dspy_session_webhook.schedule.RETRY_DELAYS", (0.05,))
    arguments = ("webhooks", "listen", "--secret", SECRET, "--fail", "503", "--fail-times", "1")
    async with started(*arguments, folder=tmp_path) as program:
        url = (await until(program, "Ctrl-C stops")).split()[0]
        writer = Writer(tmp_path, [Webhook(url, SECRET, allow_loopback=True)])
        async with writer.chats:
            await writer.take(SLACK, "hello")
            assert f"conversation.turn  {SLACK}  signed, answered 503\n" in await until(program, "answered 503")
            assert f"conversation.turn  {SLACK}  signed, attempt 2\n" in await until(program, "attempt 2")
        assert (await interrupted(program)).code == 0


async def test_a_port_that_is_taken(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    result = await dspy_bots("webhooks", "listen", "--port", str(port), folder=tmp_path)
    server.close()
    assert result.code == 1
    assert result.complaint.startswith(f"port {port} is taken: ")


def test_how_often_to_fail() -> None:
    always, never, twice = Failing(500, None), Failing(500, 0), Failing(429, 2)
    assert [always.next() for _ in range(3)] == [500] * 3
    assert never.next() is None
    assert [twice.next() for _ in range(4)] == [429, 429, None, None]
