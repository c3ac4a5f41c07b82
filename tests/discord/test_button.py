"""Buttons: what their ids say, and presses that the real client hears, also after a restart."""

from __future__ import annotations

import logging

import discord
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session.errors import ConfigurationError
from dspy_session_chat.action import Press
from dspy_session_chat.inbound import Author
from dspy_session_chat.platform import Post
from dspy_session_chat.reply import Button, Counts, Reply
from dspy_session_discord import Discord
from dspy_session_discord.destination import Destination
from dspy_session_discord.outbound.button import NAME_LIMIT, QUESTION_LIMIT, ButtonName, answer_in, hashed, view_of
from dspy_session_discord.outbound.markup import length
from tests.chat.places import saying
from tests.discord.conftest import Place
from tests.discord.talk import HURRY, INTENTS, Keep, own, running
from tests.loopback.discord import FakeDiscord

STOP = Button("stop", "Stop", about="1461", style="danger")
GOOD = Button("good", "👍", about="turn-1", style="good")
BAD = Button("bad", "👎", about="turn-1", asks="What was wrong?")
DENY = Button("deny", "Deny", "0123456789abcdef0123", "danger", asks="Why? " + "y" * 40, counts="when sent")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)


@given(st.text(max_size=15), TEXT, TEXT, st.sampled_from(["at once", "when sent"]))
def test_a_name_fits_and_is_read_back(action: str, about: str, asks: str, counts: Counts) -> None:
    name = ButtonName.of(Button(action, "Go", about, asks=asks, counts=counts))

    assert length(str(name)) <= NAME_LIMIT
    assert ButtonName.parse(str(name)) == name or "\ufffd" in str(name)
    assert name.about in (about, hashed(about))
    assert length(name.asks) <= QUESTION_LIMIT
    assert bool(name.asks) <= bool(asks)
    assert name.waits <= bool(name.asks)


def test_an_id_and_a_question_stand_there_as_they_are() -> None:
    assert ButtonName.of(BAD) == ButtonName("bad", "turn-1", "What was wrong?")
    assert ButtonName.of(Button("a:b", "x", "50%:c")) == ButtonName("a:b", "50%:c")
    assert ButtonName.of(Button("approve", "x", "t" * 200, asks="Why?")) == ButtonName(
        "approve", hashed("t" * 200), "Why?"
    )
    assert hashed("t" * 200) != hashed("t" * 201)
    assert ButtonName.of(DENY) == ButtonName("deny", DENY.about, DENY.asks, waits=True)


@pytest.mark.parametrize("theirs", ["", "dspy", "dspy:a:b", "other:a:b:c", "confirm", "dspy:a:b:c:d"])
def test_other_buttons_are_not_ours(theirs: str) -> None:
    assert ButtonName.parse(theirs) is None


async def test_what_cannot_be_shown_is_said() -> None:
    assert view_of([]) is None
    with pytest.raises(ConfigurationError, match="25 buttons at most; got 26"):
        view_of([Button("a", "A", str(number)) for number in range(26)])
    with pytest.raises(ConfigurationError, match="two buttons of a message do the same"):
        view_of([Button("a", "A"), Button("a", "B")])
    with pytest.raises(ConfigurationError, match="give it a short word"):
        view_of([Button("a" * 100, "A")])


@pytest.mark.parametrize("data", [None, {}, {"components": [{"type": 10, "content": "words"}]}])
def test_a_window_without_a_box_has_no_answer(data: object) -> None:
    assert answer_in(data) == ""


def test_an_answer_may_lie_in_a_row_too() -> None:
    row = {"type": 1, "components": [{"type": 4, "custom_id": "x", "value": " too long\n"}]}
    assert answer_in({"components": [row]}) == "too long"


async def test_a_press_is_acknowledged_and_handed_over(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    devs = fake.role(place.guild, "devs")
    place.bob.roles.append(devs)
    async with running(platform, keep, fake):
        await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        inbound = await keep.next()
        await platform.begin(inbound, "one moment", [STOP])
        shown = await fake.next_post()
        pressed = await fake.press(shown, place.bob, "Stop")
        press = await keep.action()
        await fake.until(lambda: pressed.answer)

    assert press.deed == Press("stop", "1461", message_id=str(shown.id))
    assert (press.key, press.event_id) == (inbound.key, str(pressed.id))
    assert press.author == Author(str(place.bob.id), "Bob", roles=(str(devs.id),))
    assert press.channel_name == "general"
    assert Destination.from_dict(press.reply_to) == Destination(shown.channel.id)
    assert pressed.deferred
    assert shown.buttons["Stop"]["style"] == discord.ButtonStyle.danger.value


async def test_a_button_that_asks_counts_at_once_and_once_more_with_the_answer(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    dm = fake.dm(place.ada)
    async with running(platform, keep, fake):
        await fake.say(dm, place.ada, "hi")
        await platform.post(Post(await keep.next(), Reply("hello", "turn-1", buttons=(GOOD, BAD))))
        answer = await fake.next_post()
        pressed = await fake.press(answer, place.ada, "👎")
        press = await keep.action()
        await fake.until(lambda: pressed.modal)
        submitted = await fake.submit(pressed, " it is wrong \n")
        reason = await keep.action()
        await fake.until(lambda: submitted.answer)

    assert press.deed == Press("bad", "turn-1", message_id=str(answer.id))
    assert reason.deed == Press("bad", "turn-1", "it is wrong", str(answer.id))
    assert press.event_id != reason.event_id
    assert press.key == reason.key
    assert reason.author == Author(str(place.ada.id), "Ada")
    assert pressed.modal is not None
    assert pressed.modal["title"] == "What was wrong?"
    assert submitted.deferred


async def test_a_press_that_waits_for_its_answer_comes_once_with_words_or_without(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    keep, platform = Keep(), own(fake)
    gone = {"message": "Unknown interaction", "code": 10062}
    told = {"message": "Interaction has already been acknowledged.", "code": 40060}
    caplog.handler.addFilter(lambda _: fake.changed() is None)  # the fake does not see that its refusal was read
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        await platform.post(Post(await keep.next(), Reply("hello", buttons=(DENY,))))
        answer = await fake.next_post()
        pressed = await fake.press(answer, place.ada, "Deny")
        await fake.until(lambda: pressed.modal)
        submitted = await fake.submit(pressed, " use the archive\n")
        reason = await keep.action()
        await fake.until(lambda: submitted.answer)
        sent_empty = await fake.submit(pressed, "")
        wordless = await keep.action()
        await fake.until(lambda: sent_empty.answer)
        fake.refuse("POST", "/interactions/*/callback", 400, told)  # so its window is open, as far as one can tell
        await fake.press(answer, place.ada, "Deny")
        await fake.until(lambda: len(caplog.records) == 1)
        fake.refuse("POST", "/interactions/*/callback", 404, gone)
        windowless = await fake.press(answer, place.ada, "Deny")
        counted = await keep.action()
        await fake.until(lambda: windowless.answer)
        assert keep.empty

    assert [each.deed for each in (reason, wordless, counted)] == [
        Press("deny", DENY.about, "use the archive", str(answer.id)),
        *[Press("deny", DENY.about, "", str(answer.id))] * 2,
    ]
    assert counted.event_id == str(windowless.id)
    assert windowless.deferred
    assert pressed.modal is not None
    assert (pressed.modal["title"], pressed.modal["components"][0]["label"]) == ("Deny", DENY.asks)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


async def test_a_button_works_after_a_restart(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        await platform.post(Post(await keep.next(), Reply("hello", buttons=(GOOD,))))
    (answer,) = fake.posts

    async with running(own(fake), keep, fake):
        await fake.press(answer, place.ada, "👍")
        press = await keep.action()

    assert press.deed == Press("good", "turn-1", message_id=str(answer.id))
    assert press.direct


async def test_a_press_in_a_channel_without_threads_finds_the_conversation(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    place.general.denied.add("create_public_threads")
    async with running(platform, keep, fake):
        await fake.say(place.general, place.ada, f"{fake.bot.mention} hi")
        inbound = await keep.next()
        await platform.post(Post(inbound, Reply("hello", buttons=(GOOD,))))
        answer = await fake.next_post()
        await fake.press(answer, place.ada, "👍")
        press = await keep.action()
        await platform.post(saying(press, "thank you"))
        thanks = await fake.next_post()

    assert press.key == inbound.key
    assert (thanks.channel, thanks.reply_to) == (place.general, answer)


async def test_a_press_counts_also_when_discord_does_not_hear_that_it_arrived(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    keep, platform = Keep(), own(fake)
    caplog.handler.addFilter(lambda _: fake.changed() is None)  # the fake does not see that its refusal was read
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        await platform.post(Post(await keep.next(), Reply("hello", buttons=(GOOD, BAD))))
        answer = await fake.next_post()
        for label in ("👍", "👎"):
            fake.refuse("POST", "/interactions/*/callback", 404, {"message": "Unknown interaction", "code": 10062})
            await fake.press(answer, place.ada, label)
            await keep.action()
        await fake.until(lambda: len(caplog.records) == 2)

    assert all("was not told" in record.getMessage() for record in caplog.records)
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


async def test_buttons_of_a_client_that_we_join_are_its_own(fake: FakeDiscord, place: Place) -> None:
    pressed: list[str] = []

    class Mine(discord.Client):
        async def on_interaction(self, interaction: discord.Interaction) -> None:
            pressed.append(str((interaction.data or {}).get("custom_id")))
            if pressed[-1] == "theirs":
                await interaction.response.defer()

    client = Mine(intents=INTENTS, connector=fake.connector(), **HURRY)
    platform, keep = Discord(bot=client, token=fake.token), Keep()
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        inbound = await keep.next()
        await platform.post(Post(inbound, Reply("ours", buttons=(GOOD,))))
        ours = await fake.next_post()
        view = discord.ui.View(timeout=None)
        view.add_item(discord.ui.Button(label="Theirs", custom_id="theirs"))
        channel = client.get_partial_messageable(fake.dm(place.ada).id)
        await channel.send("theirs", view=view)
        view.stop()
        theirs = await fake.press(await fake.next_post(), place.ada, "Theirs")
        await fake.until(lambda: theirs.answer)
        await fake.press(ours, place.ada, "👍")
        press = await keep.action()
        assert keep.empty

    assert press.deed == Press("good", "turn-1", message_id=str(ours.id))
    assert pressed == ["theirs", str(ButtonName.of(GOOD))]
