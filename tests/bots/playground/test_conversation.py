from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import aiohttp
import dspy
import pytest

from dspy_session import ConfigurationError
from dspy_session.conversation import Conversations
from dspy_session.errors import PlatformError
from dspy_session_bots.playground import Playground
from dspy_session_bots.playground.key import conversation_key
from dspy_session_bots.playground.thread import SHOWN
from dspy_session_chat import Bot
from tests.bots.playground.page import Page, serving
from tests.stub_lm import Prompt, StubModel

WORDS = " ".join(f"word{number}" for number in range(40))


def heard(prompt: Prompt) -> dict[str, str]:
    """Answers with everything that people said so far."""
    said = [line for message in prompt.messages if message["role"] == "user" for line in message["content"].split("\n")]
    return {"answer": " / ".join(line for line in said if line.startswith("I "))}


async def test_an_answer_streams_in_and_ends_whole():
    go_on = asyncio.Event()
    steps = ["[[ ## answer ## ]]\n", *(f"{word} " for word in WORDS.split()), go_on]
    steps += ["and ", "**done**", "\n\n[[ ## completed ## ]]"]
    async with serving(reply=lambda prompt: steps) as visitor, visitor.page() as page:
        whole = await page.whole()
        assert whole["thread"] == {"id": "one", "exchanges": [], "turns": [], "hidden": 0, "trouble": ""}
        message = await visitor.say("Hello")

        first = await page.until("exchange")
        assert (first["id"], first["text"], first["phase"], first["html"]) == (message, "Hello", "waiting", "")
        growing = await page.until("exchange", lambda exchange: "word20" in exchange["html"])
        assert growing["phase"] == "working"
        assert "done" not in growing["html"]
        go_on.set()
        turn = await page.until("turn")
        last = await page.answer(message)

    assert last["html"] == f"<p>{WORDS} and <strong>done</strong></p>\n"
    assert (last["phase"], last["status"], last["turn"]) == ("answered", "", turn["id"])
    assert (turn["index"], turn["history"], turn["model"]) == (0, 0, "stub/stub")
    assert (turn["inputs"], turn["outputs"]) == ({"question": "Hello"}, {"answer": f"{WORDS} and **done**"})


async def test_the_second_message_remembers_the_first():
    async with serving(reply=heard) as visitor:
        await visitor.ask("I keep bees.")
        second = await visitor.ask("I have a dog.")
        async with visitor.page() as page:
            whole = await page.whole()
    assert second["html"] == "<p>I keep bees. / I have a dog.</p>\n"
    assert [turn["history"] for turn in whole["thread"]["turns"]] == [0, 1]


async def test_threads_do_not_mix():
    async with serving(reply=heard) as visitor, visitor.page("two") as other:
        await other.whole()
        await visitor.ask("I keep bees.", "one")
        answer = await visitor.say("I have a dog.", "two")
        seen = []
        while not seen or seen[-1][1].get("phase") != "answered":
            seen.append(await other.next())
    assert seen[-1][1]["id"] == answer
    assert seen[-1][1]["html"] == "<p>I have a dog.</p>\n"
    # Of another thread a page hears only that it is there.
    assert {name for name, data in seen if "bees" in str(data)} == {"thread"}


async def test_a_new_server_on_the_same_file_keeps_every_thread(tmp_path: Path):
    store = f"sqlite:///{tmp_path / 'chat.db'}"
    async with serving(store, reply=heard) as visitor:
        await visitor.ask("I keep bees.\nMany of them.", "one")
        await visitor.ask("I have a dog.", "two")
        async with visitor.page("one") as page:
            before = await page.whole()
    async with serving(store, reply=heard) as visitor:
        async with visitor.page("one") as page:
            after = await page.whole()
        answer = await visitor.ask("I like honey.", "one")

    assert [thread["title"] for thread in after["threads"]] == ["I have a dog.", "I keep bees."]
    (exchange,) = after["thread"]["exchanges"]
    assert (exchange["text"], exchange["html"]) == ("I keep bees.\nMany of them.", "<p>I keep bees.</p>\n")
    assert exchange["phase"] == "answered"
    (logged,) = before["thread"]["turns"]
    assert after["thread"]["turns"] == [logged]
    assert answer["html"] == "<p>I keep bees. / I like honey.</p>\n"


async def test_a_page_that_comes_in_the_middle_sees_what_there_is_so_far():
    go_on = asyncio.Event()
    steps = ["[[ ## answer ## ]]\n", *(f"{word} " for word in WORDS.split()), go_on, "\n\n[[ ## completed ## ]]"]
    async with serving(reply=lambda prompt: steps) as visitor:
        async with visitor.page() as page:
            first = await visitor.say("Hello")
            await page.until("exchange", lambda exchange: "word20" in exchange["html"])
        second = await visitor.say("Are you there?")
        async with visitor.page() as page:
            whole = await page.whole()
            go_on.set()
            answers = [await page.answer(first), await page.answer(second)]
    working, waiting = whole["thread"]["exchanges"]
    assert (working["id"], working["phase"]) == (first, "working")
    assert "word20" in working["html"]
    assert (waiting["id"], waiting["phase"]) == (second, "waiting")
    assert [answer["phase"] for answer in answers] == ["answered", "answered"]


async def test_a_status_line_says_what_the_agent_does():
    def search(query: str) -> str:
        """Search the web."""
        return "Honey is made by bees."

    def reply(prompt: Prompt) -> object:
        if "next_tool_name" not in prompt.outputs:
            return {"answer": "By bees."}
        if "Honey is made" in prompt.text:
            return {"next_thought": "I know.", "next_tool_name": "finish", "next_tool_args": {}}
        return {"next_thought": "Hm.", "next_tool_name": "search", "next_tool_args": {"query": "honey"}}

    agent = dspy.ReAct("question -> answer", tools=[search])
    async with serving(reply=reply, agent=agent) as visitor, visitor.page() as page:
        message = await visitor.say("Who makes honey?")
        status = await page.until("exchange", lambda exchange: "search" in exchange["status"])
        answer = await page.answer(message)
    assert status["phase"] == "working"
    assert (answer["html"], answer["status"]) == ("<p>By bees.</p>\n", "")


async def test_a_failure_is_an_answer_and_the_next_message_works(caplog: pytest.LogCaptureFixture):
    def reply(prompt: Prompt) -> object:
        return RuntimeError("the model is down") if "fail" in prompt.last else {"answer": "Here I am."}

    async with serving(reply=reply) as visitor:
        failed = await visitor.ask("Please fail.")
        answered = await visitor.ask("Again, please.")
        async with visitor.page() as page:
            whole = await page.whole()
    assert failed["phase"] == "notice"
    assert failed["html"].startswith("<p>Sorry, something went wrong")
    assert answered["html"] == "<p>Here I am.</p>\n"
    assert [exchange["phase"] for exchange in whole["thread"]["exchanges"]] == ["notice", "answered"]
    assert len(whole["thread"]["turns"]) == 1
    assert "the model is down" in caplog.text


async def test_what_people_and_models_write_is_no_html():
    hostile = '<img src=x onerror="alert(1)"><script>alert(2)</script>'
    async with serving(reply=lambda prompt: {"answer": hostile}) as visitor:
        answer = await visitor.ask(hostile)
    assert "<img" not in answer["html"]
    assert "<script" not in answer["html"]
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in answer["html"]


async def test_half_a_surrogate_pair_is_replaced_at_the_door():
    async with serving() as visitor:
        answer = await visitor.ask("broken \ud83d pair")
    assert answer["phase"] == "answered"
    assert answer["text"] == "broken \ufffd pair"


class Yes(dspy.Module):
    def forward(self, question: str) -> dspy.Prediction:
        return dspy.Prediction(answer="Yes.")


async def test_the_newest_of_a_long_conversation_are_shown(tmp_path: Path):
    store = f"sqlite:///{tmp_path / 'chat.db'}"
    async with Conversations(Yes(), store) as conversations:
        for number in range(SHOWN + 2):
            await conversations.acall(conversation_key("one"), question=f"Message {number}?")
    async with serving(store, agent=Yes()) as visitor:
        async with visitor.page() as page:
            thread = (await page.whole())["thread"]
        await visitor.ask("One more?")
        async with visitor.page() as page:
            later = (await page.whole())["thread"]
    assert (thread["hidden"], later["hidden"]) == (2, 3)
    assert [exchange["text"] for exchange in thread["exchanges"]][:1] == ["Message 2?"]
    assert [len(thread["exchanges"]), len(thread["turns"])] == [SHOWN, SHOWN]
    assert [len(later["exchanges"]), len(later["turns"])] == [SHOWN, SHOWN]


async def test_conversations_of_other_platforms_are_not_listed(tmp_path: Path):
    store = f"sqlite:///{tmp_path / 'chat.db'}"
    async with Conversations(dspy.Predict("question -> answer"), store) as conversations:
        with dspy.context(lm=StubModel().lm):
            for key in ("slack:T1:C1:1700000000.000100", "discord:1:2:3", "mine", str(conversation_key("one"))):
                await conversations.acall(key, question="Hello?")
            await conversations.acall(str(conversation_key("two")), question="Hello?")
            await conversations.reset(str(conversation_key("two")))
    async with serving(store) as visitor, visitor.page() as page:
        listed = (await page.whole())["threads"]
    assert [(thread["id"], thread["title"]) for thread in listed] == [("two", "Hello?"), ("one", "Hello?")]


async def test_a_damaged_conversation_says_so_and_leaves_the_others_alone(tmp_path: Path):
    file = tmp_path / "chat.db"
    async with serving(f"sqlite:///{file}") as visitor:
        await visitor.ask("Hello?", "one")
        await visitor.ask("Good day?", "two")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE entries SET body = '{' WHERE conversation = 1")
    database.close()
    async with serving(f"sqlite:///{file}") as visitor:
        async with visitor.page("one") as page:
            whole = await page.whole()
        answer = await visitor.ask("And now?", "two")
    assert "entry 0 (turn) is damaged" in whole["thread"]["trouble"]
    assert {thread["title"] for thread in whole["threads"]} == {"Good day?", "(cannot be read)"}
    assert answer["phase"] == "answered"


async def test_an_agent_with_two_texts_has_its_fields_named():
    class Answer(dspy.Signature):
        question: str = dspy.InputField()
        answer: str = dspy.OutputField()
        source: str = dspy.OutputField()

    playground = Playground(output_field="answer")
    bot = Bot(
        dspy.Predict(Answer),
        platforms=[playground],
        sinks=[playground],
        store="memory://",
        output_field="answer",
        lm=StubModel().lm,
    )
    async with bot:
        pass
    playground = Playground()
    with pytest.raises(ConfigurationError, match="output_field='answer'"):
        playground.use_conversations(Conversations(dspy.Predict(Answer)))


async def test_a_stopping_server_lets_pages_go_and_gives_the_port_back(caplog: pytest.LogCaptureFixture):
    async with aiohttp.ClientSession() as http:
        async with serving() as visitor:
            playground, url = visitor.playground, visitor.playground.url
            page = Page(await http.get(f"{url}api/events?thread=one"))
            await page.whole()
        with pytest.raises(EOFError):
            await page.next()
    assert caplog.records == []
    with pytest.raises(ConfigurationError, match="no address yet"):
        _ = playground.url
    again = Playground(port=int(url.rpartition(":")[2].removesuffix("/")))
    again.bind()
    assert again.url == url
    await again.aclose()


async def test_a_taken_port_is_one_line():
    first = Playground()
    first.bind()
    port = int(first.url.rpartition(":")[2].removesuffix("/"))
    second = Playground(port=port)
    bot = Bot(dspy.Predict("question -> answer"), platforms=[second], store="memory://", lm=StubModel().lm)
    async with bot:
        with pytest.raises(PlatformError, match=rf"^port {port} is taken: stop the program that uses it, or choose"):
            await bot.serve()
    await first.aclose()
