"""An answer that grows and is completed: begun, edited, and posted over what shows already; its buttons and files."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from dspy_session.errors import PlatformError
from dspy_session_chat.growing import CanEdit
from dspy_session_chat.platform import Post
from dspy_session_chat.reply import Button, Reply, ReplyFile
from dspy_session_discord.platform import EDIT_SECONDS
from tests.chat.places import saying
from tests.discord.conftest import Place
from tests.discord.talk import Keep, own, running
from tests.loopback.discord import SUPPRESS_EMBEDS, FakeDiscord

MESSAGE = "/channels/*/messages/*"
STOP = Button("stop", "Stop", about="1")
RETRY = Button("retry", "Retry", about="turn-1")
LONG = "\n\n".join(f"Paragraph {number}: " + "word " * 150 for number in range(6))


async def test_an_answer_grows_in_messages_that_are_edited(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    assert isinstance(platform, CanEdit)
    assert platform.edit_seconds == EDIT_SECONDS > 1.0  # Discord's five edits in five seconds are not used up
    first, second, third = platform.parts(LONG)
    async with running(platform, keep, fake):
        asked = await fake.say(place.general, place.ada, f"{fake.bot.mention} write @everyone")
        inbound = await keep.next()
        ids = [await platform.begin(inbound, "Parag…", [STOP])]
        await platform.edit(inbound, ids[0], first)
        assert not fake.posts[0].buttons
        ids.append(await platform.begin(inbound, f"{second} @everyone", [STOP]))
        posted = await platform.post(Post(inbound, Reply(LONG, "turn-1", buttons=(RETRY,)), shown=tuple(ids)))

    assert posted.message_ids == (*ids, str(fake.posts[2].id))
    visible = fake.posts[0].channel.visible
    assert [message.content for message in visible] == [first, second, third]
    assert [list(message.buttons) for message in visible] == [[], [], ["Retry"]]
    assert {message.channel.id for message in visible} == {asked.id}
    assert all(message.flags & SUPPRESS_EMBEDS for message in visible)
    assert all(message.pings == [] and message.allowed_mentions is not None for message in visible)
    assert fake.requested("POST", "/threads") == 1


async def test_what_shows_too_much_is_taken_away(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        inbound = await keep.next()
        ids = tuple([await platform.begin(inbound, f"part {number}", [STOP]) for number in range(3)])
        await fake.delete(fake.posts[2])
        posted = await platform.post(replace(saying(inbound, "short"), shown=ids))

    assert posted.message_ids == ids[:1]
    assert [(one.content, one.buttons) for one in fake.dm(place.ada).visible[1:]] == [("short", {})]


async def test_what_somebody_deleted_meanwhile_is_posted_anew(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        inbound = await keep.next()
        shown = await platform.begin(inbound, "one moment")
        await fake.delete(fake.posts[0])
        posted = await platform.post(replace(saying(inbound, "hello"), shown=(shown,)))

    (message,) = fake.dm(place.ada).visible[1:]
    assert (message.content, posted.message_ids) == ("hello", (str(message.id),))


async def test_a_thread_that_is_archived_meanwhile_gets_the_answer_all_the_same(
    fake: FakeDiscord, place: Place
) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        inbound = await keep.next()
        shown = await platform.begin(inbound, "one moment", [STOP])
        thread = fake.posts[0].channel
        thread.archived = True
        posted = await platform.post(replace(saying(inbound, "hello"), shown=(shown,)))

    (message,) = thread.visible
    assert (message.content, posted.message_ids) == ("hello", (str(message.id),))


async def test_what_another_process_has_shown_is_completed(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        inbound = await keep.next()
        shown = await platform.begin(inbound, "one mom")
    later = own(fake)
    async with running(later, keep, fake):
        await later.edit(inbound, shown, "one moment")
        await later.post(replace(saying(inbound, "hello"), shown=(shown,)))

    assert [message.content for message in fake.posts] == ["hello"]


async def test_where_no_thread_can_be_opened_the_first_message_is_a_reply_and_editing_asks_once(
    fake: FakeDiscord, place: Place
) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        place.general.denied.add("create_public_threads")  # and the client has not heard of it yet
        asked = await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        inbound = await keep.next()
        ids = (await platform.begin(inbound, "one"), await platform.begin(inbound, "two"))
        for number in range(3):
            await platform.edit(inbound, ids[1], f"two {number}")
        await platform.post(replace(saying(inbound, LONG), shown=ids))

    assert [post.reply_to for post in fake.posts] == [asked, None, None]
    assert {post.channel for post in fake.posts} == {place.general}
    assert fake.requested("POST", "/threads") == 1


async def test_two_messages_that_begin_alike_are_two(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        inbound = await keep.next()
        ids = {await platform.begin(inbound, "…") for _ in range(2)}

    assert ids == {str(post.id) for post in fake.posts}
    assert len(ids) == 2


async def test_a_message_that_discord_has_but_whose_answer_was_lost_is_begun_once(
    fake: FakeDiscord, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = {**vars(asyncio), "sleep": lambda _: asyncio.sleep(0)}  # discord.py waits a second between two tries
    monkeypatch.setattr("discord.http.asyncio", SimpleNamespace(**at_once))
    keep, platform = Keep(), own(fake)
    fake.refuse("POST", "/channels/*/messages", 502, "bad gateway", when="after")
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        begun = await platform.begin(await keep.next(), "one moment")

    assert [str(post.id) for post in fake.posts] == [begun]


async def test_an_edit_that_is_refused_says_why_in_one_line(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        inbound = await keep.next()
        with pytest.raises(PlatformError, match="the message is gone"):
            await platform.edit(inbound, "1", "hello")
        shown = await platform.begin(inbound, "hello")
        fake.refuse("PATCH", MESSAGE, 403, {"message": "Missing Access", "code": 50001})
        with pytest.raises(PlatformError, match="cannot see the channel"):
            await platform.post(replace(saying(inbound, "hello!"), shown=(shown,)))
        with pytest.raises(PlatformError, match="2000"):
            await platform.begin(inbound, "x" * 2001)


async def test_files_come_with_the_last_message_and_so_do_buttons(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    plot, data = ReplyFile("plot.png", "image/png", b"\x89PNG"), ReplyFile("data.csv", "text/csv", b"a,b\n1,2\n")
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "plot it")
        inbound = await keep.next()
        shown = await platform.begin(inbound, "one moment", [STOP])
        reply = Reply("Here it is.", files=(plot, data), buttons=(RETRY,))
        for _ in range(2):  # again, as after a crash
            await platform.post(Post(inbound, reply, shown=(shown,)))

    (message,) = fake.posts
    assert (message.content, list(message.buttons)) == ("Here it is.", ["Retry"])
    assert message.files == {"plot.png": plot.data, "data.csv": data.data}


async def test_files_without_words_and_more_files_than_a_message_takes(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    files = tuple(ReplyFile(f"{number}.txt", "text/plain", b"x") for number in range(12))
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "files")
        posted = await platform.post(Post(await keep.next(), Reply("", files=files, buttons=(RETRY,))))

    assert [(len(post.files), list(post.buttons)) for post in fake.posts] == [(10, []), (2, ["Retry"])]
    assert len(posted.message_ids) == 2


async def test_an_answer_that_is_too_long_goes_on_in_a_file(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "write")
        await platform.post(Post(await keep.next(), Reply(LONG, private=True), most=2))

    assert len(fake.posts) == 2
    assert fake.posts[1].files == {"answer.md": LONG.encode()}


@pytest.mark.parametrize("why", ["too large", "not allowed"])
async def test_files_that_discord_does_not_take_keep_no_answer_away(fake: FakeDiscord, place: Place, why: str) -> None:
    keep, platform = Keep(), own(fake)
    if why == "too large":
        fake.file_limit = 3
    else:
        fake.dm(place.ada).denied.add("attach_files")
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "plot it")
        reply = Reply("Here it is.", files=(ReplyFile("plot.png", "image/png", b"\x89PNG"),))
        posted = await platform.post(Post(await keep.next(), reply))

    assert [post.content for post in fake.posts] == ["Here it is.", "-# Discord did not take: plot.png (0.0 MB)"]
    assert posted.message_ids == tuple(str(post.id) for post in fake.posts)


async def test_where_the_bot_may_not_write_files_make_no_difference(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    fake.dm(place.ada).denied.add("send_messages")
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "plot it")
        inbound = await keep.next()
        for text in ("Here it is.", ""):
            with pytest.raises(PlatformError, match="lacks a permission"):
                await platform.post(Post(inbound, Reply(text, files=(ReplyFile("a.txt", "text/plain", b"x"),))))

    assert not fake.posts
