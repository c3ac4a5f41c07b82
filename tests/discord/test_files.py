"""Files that people send in Discord, as far as their answers: what is read, and one line for each that is not."""

from __future__ import annotations

from typing import Any

import dspy

from dspy_session_chat import Bot
from dspy_session_chat.files.downloads import Downloader
from dspy_session_discord import Discord
from dspy_session_discord.platform import FILE_HOSTS
from tests.chat.agents import held
from tests.chat.pdfs import pdf
from tests.chat.pictures import png
from tests.chat.places import saying
from tests.discord.conftest import Place
from tests.discord.talk import HURRY, Keep, own, running
from tests.loopback.discord import FakeDiscord


class Looker(dspy.Module):
    """Looks at pictures."""

    async def aforward(self, message: str, photos: list[dspy.Image]) -> dspy.Prediction:
        return dspy.Prediction(reply=f"I see {len(photos)} pictures.")


PRESS = "https://cdn.discordapp.com/attachments/1/2/press.zip"


async def test_code_that_is_too_long_for_a_message_comes_as_a_file_too(fake: FakeDiscord, place: Place) -> None:
    code = "\n".join(f"print({number})" for number in range(300))
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "count")
        inbound = await keep.next()
        await platform.post(saying(inbound, f"```python\n{code}\n```"))
        await platform.post(saying(inbound, "\n\n".join([f"```python\n{code}\n```"] * 9)))

    *parts, last = fake.posts[: next(n for n, post in enumerate(fake.posts, 1) if post.files)]
    assert len(parts) == 1
    assert {name: data.decode() for name, data in last.files.items()} == {"code.py": f"{code}\n"}
    assert list(fake.posts[-1].files) == ["answer.md"]  # all of it is in there


async def test_what_of_somebodys_files_is_not_read_is_said_in_a_line_each(fake: FakeDiscord, place: Place) -> None:
    platform = Discord(
        token=fake.token,
        client_options={"connector": fake.connector(), **HURRY},
        downloader=Downloader(FILE_HOSTS, connect=fake.connector),
    )
    large: dict[str, Any] = {"id": "2", "filename": "press.zip", "size": 25_000_000, "url": PRESS, "proxy_url": PRESS}
    files = {
        "list.pdf": pdf("two bells"),
        "bomb.png": png(100_000, 100_000),
        "notes.txt": b"one pump",
        "cut.pdf": pdf("x")[:40],
        "sixth.txt": b"more",
    }
    async with Bot(held(Looker()), platforms=[platform], store="memory://") as bot:
        await fake.connected()
        dm = fake.dm(place.ada)
        await fake.say(dm, place.ada, "what is that?", attachments=(large,), files=files)
        answer = await fake.next_post()
        await fake.until(lambda: answer.buttons.keys() >= {"Retry"})
        (turn,) = (await bot.conversations.state(f"discord::{dm.id}")).turns

    asked = turn.inputs["message"]
    assert "--- Attached file list.pdf ---\ntwo bells\n" in asked
    assert "--- Attached file notes.txt ---\none pump\n" in asked
    said, *lines = [line for line in answer.content.splitlines() if line]
    assert said == "I see 0 pictures."
    assert lines == [
        "*press.zip was not read: it is larger than 5 MB.*",
        "*bomb.png was not read: the picture has more than 50 million pixels.*",
        "*cut.pdf was not read: the PDF is damaged.*",
        "*sixth.txt was not read: no more than 5 files of a message are read.*",
    ]
    assert fake.cdn.authorizations == [None] * 4
