"""What an answer has besides words, and the files that come and go."""

from __future__ import annotations

import aiohttp
import pytest

from dspy_session.errors import PlatformError
from dspy_session_bots.playground.key import conversation_key
from dspy_session_bots.playground.shelf import MOST_EACH, Shelf
from dspy_session_chat import Attachment, Button, Event, Inbound, Link, Post, Reply, ReplyFile
from tests.bots.playground.page import ANN, JSON, Visitor, overheard

PIXEL = b"\x89PNG\r\n\x1a\n pixel"


async def posted(reply: Reply) -> JSON:
    """An answer as the page has it."""

    async def does(visitor: Visitor, event: Event) -> None:
        await visitor.playground.post(Post(event, reply))

    async with overheard(does) as visitor, visitor.page() as page:
        return await page.answer(await visitor.say("Hello"))


async def test_sources_table_and_thoughts_come_apart_from_the_words():
    exchange = await posted(
        Reply(
            "Honey.",
            links=(Link("https://bees.example", "Bees"), Link("javascript:alert(1)"), Link("", "A book")),
            table=(("mood", "calm | sweet"),),
            reasoning="Bees **make** it.<script>",
            private=True,
        )
    )
    assert exchange["html"] == "<p>Honey.</p>\n"
    assert exchange["beneath"] == {
        "links": [
            {"url": "https://bees.example", "title": "Bees"},
            {"url": "", "title": "javascript:alert(1)"},
            {"url": "", "title": "A book"},
        ],
        "table": [["mood", "calm | sweet"]],
        "reasoning": "<p>Bees <strong>make</strong> it.&lt;script&gt;</p>\n",
        "private": True,
    }


async def test_buttons_are_shown_as_given():
    buttons = (Button("approve", "Approve", "c1", "good"), Button("deny", "Deny"))
    asked = await posted(Reply("Shall I?", buttons=buttons))
    words = await posted(Reply("Sorry."))
    assert [(one["action"], one["label"], one["style"]) for one in asked["beneath"]["buttons"]] == [
        ("approve", "Approve", "good"),
        ("deny", "Deny", "plain"),
    ]
    assert words["beneath"] == {}


async def test_a_turn_out_of_the_store_has_the_usual_buttons():
    async with overheard() as visitor:
        await visitor.conversations.acall(conversation_key("one"), question="Hello")
        (exchange,) = await visitor.exchanges()
    assert [(one["action"], one["about"]) for one in exchange["beneath"]["buttons"]] == [
        ("retry", exchange["turn"]),
        ("good", exchange["turn"]),
        ("bad", exchange["turn"]),
    ]


@pytest.mark.parametrize(
    ("name", "media_type", "served", "disposition"),
    [
        ("pixel.png", "image/png", "image/png", "inline"),
        ("drawing.svg", "image/svg+xml", "application/octet-stream", "attachment"),
        ("page.html", "text/html", "application/octet-stream", "attachment"),
        ('../../e"vil\r\n.txt', "text/plain; charset=utf-8", "application/octet-stream", "attachment"),
    ],
)
async def test_a_file_of_an_answer_can_be_fetched_and_runs_nothing(
    name: str, media_type: str, served: str, disposition: str
):
    async def does(visitor: Visitor, event: Event) -> None:
        await visitor.playground.post(Post(event, Reply("Here.", files=(ReplyFile(name, media_type, PIXEL),))))

    async with overheard(does) as visitor, visitor.page() as page:
        (file,) = (await page.answer(await visitor.say("Hello")))["beneath"]["files"]
        async with visitor.http.get(file["url"]) as response:
            assert await response.read() == PIXEL
            headers = response.headers
    assert headers["Content-Type"].partition(";")[0] == served
    assert headers["Content-Disposition"].startswith(disposition)
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "/" not in file["name"]
    assert file["name"].isprintable()


async def test_what_is_brought_comes_with_the_message_and_can_be_fetched():
    async with overheard() as visitor:
        kept = await visitor.bring("bees & honey.txt", b"Bees make honey.")
        picture = await visitor.bring("pixel.png", PIXEL, "image/png")
        await visitor.say("", author=ANN, files=[kept["id"], picture["id"]])
        (inbound,) = visitor.received
        assert isinstance(inbound, Inbound)
        text, image = inbound.attachments
        async with visitor.playground.fetch(text) as pieces:
            assert b"".join([piece async for piece in pieces]) == b"Bees make honey."
        async with visitor.http.get(image.url) as response:
            assert await response.read() == PIXEL
        (exchange,) = await visitor.exchanges()
    assert (text.name, text.media_type, text.size) == ("bees & honey.txt", "text/plain", 16)
    assert text.url.startswith(visitor.origin)
    assert [file["name"] for file in exchange["files"]] == ["bees & honey.txt", "pixel.png"]
    assert [file["image"] for file in exchange["files"]] == [False, True]


async def test_a_file_that_is_too_large_is_not_read_to_its_end():
    async def endless():
        for _ in range(MOST_EACH // 2**20 + 2):
            yield bytes(2**20)

    async with overheard() as visitor:
        try:
            answer = await visitor.post("/api/files?name=large", data=endless())
        except aiohttp.ClientError:  # it was told while it still wrote
            return
    assert answer == (413, {"error": "the file is larger than 25 MB"})


async def test_a_file_from_elsewhere_is_not_fetched():
    async with overheard() as visitor:
        for url in ("https://bees.example/api/files/x", "http://127.0.0.1:1/api/files/0123456789abcdef/a.txt", ""):
            with pytest.raises(PlatformError, match=r"^a.txt is not here any more: send it once more$"):
                async with visitor.playground.fetch(Attachment("a.txt", url=url)):
                    pass
        async with visitor.http.get("/api/files/0123456789abcdef/a.txt") as response:
            assert response.status == 404


def test_the_oldest_files_make_room():
    shelf = Shelf(most=10)
    first, second = shelf.put("a", "", bytes(6)), shelf.put("b", "", bytes(6))
    assert shelf.get(first.id) is None
    assert shelf.get(second.id) == second
    large = shelf.put("c", "", bytes(20))
    assert shelf.get(large.id) == large
    assert shelf.get(second.id) is None
