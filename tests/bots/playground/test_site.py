from __future__ import annotations

import asyncio
import io
import re
from importlib.resources import files
from urllib.parse import quote

import pytest

from dspy_session import SessionError
from dspy_session_bots.playground import Playground
from dspy_session_bots.playground.deeds import LONGEST_TEXT
from dspy_session_bots.playground.site import LONGEST_BODY
from dspy_session_bots.playground.threads import KEPT_OPEN
from tests.bots.playground.page import serving
from tests.stub_lm import Prompt

MESSAGES = "/api/threads/one/messages"


async def test_the_page_comes_with_every_file_that_it_names():
    async with serving() as visitor:
        async with visitor.http.get("/") as response:
            page = await response.text()
            assert response.content_type == "text/html"
        found = set(re.findall(r'"(/static/[^"]+)"', page))
        fetched: dict[str, str] = {}
        while found - set(fetched):
            path = (found - set(fetched)).pop()
            async with visitor.http.get(path) as response:
                assert response.status == 200, path
                fetched[path] = response.content_type
                found |= set(re.findall(r'"(/static/[^"]+)"', await response.text()))
    kept = {file.name for file in files("dspy_session_bots.playground").joinpath("static").iterdir()}
    assert {path.rpartition("/")[2] for path in fetched} | {"index.html"} == kept
    assert fetched["/static/app.js"] == "text/javascript"
    assert fetched["/static/page.css"] == "text/css"


async def test_the_page_brings_everything_itself():
    for file in files("dspy_session_bots.playground").joinpath("static").iterdir():
        text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, file.name
        assert "https://" not in text, file.name
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=\"", text), file.name


@pytest.mark.parametrize("path", ["/static/nowhere.js", "/static/..%2Fsite.py", "/static/../site.py", "/static/"])
async def test_no_other_file_is_served(path: str):
    async with serving() as visitor, visitor.http.get(path) as response:
        assert response.status == 404


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"json": {"text": "  \n "}}, 400, "the message is empty"),
        ({"json": {"text": 7}}, 400, "send a JSON object"),
        ({"json": {}}, 400, "send a JSON object"),
        ({"json": ["text"]}, 400, "send a JSON object"),
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 400, "send a JSON object"),
        ({"data": b"\xff", "headers": {"Content-Type": "application/json"}}, 400, "send a JSON object"),
        ({"data": b"[" * 100_000, "headers": {"Content-Type": "application/json"}}, 400, "send a JSON object"),
        ({"data": {"text": "Hello"}}, 415, "Content-Type: application/json"),
        ({"json": {"text": "x" * (LONGEST_TEXT + 1)}}, 413, "at most 20,000 are read"),
    ],
)
async def test_what_is_no_message_is_refused_in_one_line(body: dict, status: int, reason: str):
    async with serving() as visitor:
        answered, said = await visitor.post(MESSAGES, **body)
        async with visitor.page() as page:
            whole = await page.whole()
    assert answered == status
    assert reason in said["error"]
    assert whole["thread"]["exchanges"] == []


async def test_more_than_anybody_writes_is_not_read():
    async with serving() as visitor:
        headers = {"Origin": visitor.origin, "Content-Type": "application/json"}
        async with visitor.http.post(MESSAGES, data=io.BytesIO(b" " * (LONGEST_BODY + 1)), headers=headers) as response:
            assert response.status == 413


@pytest.mark.parametrize("thread", ["a b", "a" * 65, "../one", "a:b", "<b>", "%"])
async def test_a_thread_has_a_plain_name(thread: str):
    async with serving() as visitor:
        async with visitor.http.get("/api/events", params={"thread": thread}) as response:
            assert response.status == 400
        status, _ = await visitor.post(f"/api/threads/{quote(thread, safe='')}/messages", json={"text": "Hello"})
        assert status == 404


async def test_the_page_says_who_answers():
    async with serving(agent_name="Ada's friend", model_name="Small model") as visitor, visitor.page() as page:
        whole = await page.whole()
    assert (whole["agent"], whole["model"], whole["deliveries"]) == ("Ada's friend", "Small model", None)


async def test_a_silent_page_is_sent_a_sign_of_life():
    async with serving(heartbeat=0.01) as visitor, visitor.page() as page:
        await page.whole()
        waiting = asyncio.create_task(page.next())
        while page.heartbeats < 2:
            await asyncio.wait([waiting], timeout=0.01)
        await visitor.say("Hello")
        name, _ = await waiting
    assert name in ("thread", "exchange")


async def test_a_message_that_the_bot_does_not_take_is_answered_with_the_reason():
    async def refuse(inbound: object) -> None:
        raise SessionError("the bot is stopping and takes no more messages")

    async with serving() as visitor:
        ready = asyncio.Event()
        other = Playground(on_ready=lambda url: ready.set())
        other.use_conversations(visitor.conversations)
        running = asyncio.create_task(other.run(refuse))
        await ready.wait()
        origin = other.url.removesuffix("/")
        async with visitor.http.post(
            f"{origin}{MESSAGES}", json={"text": "Hello"}, headers={"Origin": origin}
        ) as answer:
            assert answer.status == 202
        async with visitor.http.get(f"{origin}/api/events?thread=one") as response:
            lines = [(await response.content.readline()).decode() for _ in range(3)]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert "<p>the bot is stopping and takes no more messages</p>" in lines[2]


async def test_threads_that_rest_are_let_go_of_and_come_back():
    async with serving() as visitor:
        for number in range(KEPT_OPEN + 2):
            await visitor.ask("Hello", f"thread-{number}")
        async with visitor.page("thread-0") as page:
            whole = await page.whole()
    (exchange,) = whole["thread"]["exchanges"]
    assert (exchange["text"], exchange["phase"]) == ("Hello", "answered")
    assert (exchange["author"], exchange["name"]) == ("you", "You")  # read from the store again
    assert len(whole["threads"]) == KEPT_OPEN + 2


async def test_a_thread_with_an_answer_to_come_is_not_let_go_of():
    go_on = asyncio.Event()

    def reply(prompt: Prompt) -> list[object]:
        return [*([go_on] if "slowly" in prompt.last else []), "[[ ## answer ## ]]\nDone.\n\n[[ ## completed ## ]]"]

    async with serving(reply=reply) as visitor:
        slow = await visitor.say("Answer slowly.", "slow")
        for number in range(KEPT_OPEN + 2):
            async with visitor.page(f"thread-{number}") as page:
                await page.whole()
        async with visitor.page("slow") as page:
            (exchange,) = (await page.whole())["thread"]["exchanges"]
            go_on.set()
            answer = await page.answer(slow)
    assert exchange["phase"] == "working"
    assert answer["html"] == "<p>Done.</p>\n"
