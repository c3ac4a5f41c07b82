"""Commands that are given natively and questions asked by them: how they are taken, and where the answers go."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import dspy
import pytest

from dspy_session.errors import PlatformError, SessionError
from dspy_session_chat import Access, Asked, Limits, Manners, ask_first
from dspy_session_chat.action import Action, Event, Press, Reaction, event_from_json
from dspy_session_chat.inbound import Inbound
from dspy_session_chat.platform import Post
from dspy_session_chat.reply import Button, Reply, ReplyFile
from dspy_session_chat.testing import Where
from dspy_session_chat.testing.scene import playing
from dspy_session_chat.testing.scripted import Parrot, ScriptedModel
from dspy_session_discord.commands.listed import ASKS_ABOUT
from dspy_session_discord.inbound.interactions import NO_MEMBER, NOT_TAKEN
from tests.chat.places import saying
from tests.discord.conftest import Place
from tests.discord.stage import DiscordStage
from tests.discord.talk import Keep, own, running
from tests.loopback.discord import SUPPRESS_EMBEDS, FakeDiscord
from tests.loopback.discord.interactions import Interaction, Kind
from tests.loopback.discord.world import EPHEMERAL

LONG = "\n\n".join(f"Paragraph {number} is not the one before." for number in range(120))

ASKED = {
    "id": "1",
    "name": "ask",
    "type": 1,
    "options": [{"type": 3, "name": "text", "value": "Do you sell bells?"}],
}


@pytest.fixture
def stage(fake: FakeDiscord, place: Place, monkeypatch: pytest.MonkeyPatch) -> DiscordStage:
    monkeypatch.setattr("dspy_session_discord.platform.EDIT_SECONDS", 0.05)
    return DiscordStage(fake, place)


async def offered(fake: FakeDiscord) -> None:
    await fake.until(fake.commands.all)


async def test_a_question_is_answered_in_place_and_people_go_on_in_the_thread_beneath(
    fake: FakeDiscord, place: Place, stage: DiscordStage, tmp_path: Path
) -> None:
    agent = Parrot()
    held = agent.hold("Do you *sell* bells?\n\nLoud ones.")
    async with playing(stage, agent, tmp_path) as scene:
        await offered(fake)
        asked = await fake.command(place.general, place.ada, "ask", "Do you *sell* bells?\n\nLoud ones.")
        await fake.until(lambda: asked.original)
        assert asked.original is not None
        assert asked.original.loading
        held.set()
        answer = await scene.reads("(0 before)", stage.channel)
        thread = Where(stage.channel.channel, answer.id)
        await fake.until(lambda: int(answer.id) in fake.channels)
        there = fake.channels[int(answer.id)]
        await scene.ask("And pumps?", thread)
        assert (await scene.ask("Thanks", thread, person=scene.ben)).text == "Thanks (2 before)"
        await scene.react("👍", answer, stage.channel)
        turns = await scene.remembers(lambda turns: turns and turns[0].score)

    assert answer.text == "> Do you \\*sell\\* bells? Loud ones.\nDo you *sell* bells?\n\nLoud ones. (0 before)"
    assert (asked.original.id, there.name) == (int(answer.id), "Do you sell bells? Loud ones.")
    assert asked.original.flags & SUPPRESS_EMBEDS
    assert asked.original.pings == []
    assert answer.buttons == ("Retry", "👍", "👎")
    assert turns[0].score == 1.0
    assert [message for message in fake.posts if message.channel is place.general] == [asked.original]


async def test_an_answer_grows_in_place_and_goes_on_in_further_messages(
    fake: FakeDiscord, place: Place, stage: DiscordStage, tmp_path: Path
) -> None:
    more = asyncio.Event()
    model = ScriptedModel(["We sell ", more, LONG])
    async with playing(stage, dspy.Predict("message -> reply"), tmp_path, lm=model.lm) as scene:
        await offered(fake)
        dm = fake.dm(place.ada)
        asked = await fake.command(dm, place.ada, "ask", "What?")
        growing = await scene.reads("We sell")
        assert growing.buttons == ("Stop",)
        more.set()
        last = await scene.shows(lambda seen: "Paragraph 119" in seen.text and "Retry" in seen.buttons)
        said = scene.said()
        await scene.react("👎", last)
        (turn,) = await scene.remembers(lambda turns: turns and turns[0].score is not None)

    assert asked.original is not None
    assert [seen.id for seen in said] == [str(asked.original.id), *(str(message.id) for message in asked.further)]
    assert len(said) > 2
    assert not any(seen.text.startswith(">") for seen in said[1:])
    assert turn.score == 0.0
    assert not fake.requested("POST", f"/channels/{dm.id}/messages")


async def test_an_answer_survives_a_restart_with_its_files_and_buttons(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await offered(fake)
        asked = await fake.command(place.general, place.ada, "ask", "A plan?", file=("old.txt", b"hello"))
        inbound = event_from_json(json.loads(json.dumps((await keep.next()).to_json())))

    async with running(platform := own(fake), keep, fake):
        plan = ReplyFile("plan.txt", "text/plain", b"first, bells")
        reply = Reply("Here it is.", "turn-1", files=(plan,), buttons=(Button("bad", "👎", "turn-1", asks="Why?"),))
        posted = await platform.post(Post(inbound, reply))
        again = await platform.post(Post(inbound, reply))
        await fake.react(fake.posts[0], place.bob, "👍")
        reaction = await keep.action()
        pressed = await fake.press(fake.posts[0], place.bob, "👎")
        press = await keep.action()
        await fake.until(lambda: pressed.modal)
        await fake.submit(pressed, "It is too loud.")
        reason = await keep.action()

    assert isinstance(inbound, Inbound)
    (file,) = inbound.attachments
    assert (file.name, file.size, inbound.addressed) == ("old.txt", 5, "mention")
    assert asked.original is not None
    assert posted == again
    assert posted.message_ids == (str(asked.original.id),)
    assert asked.original.content == "> A plan?\nHere it is."
    assert asked.original.files == {"plan.txt": b"first, bells"}
    assert reaction.deed == Reaction("👍", str(asked.original.id))
    assert press.deed == Press("bad", "turn-1", message_id=str(asked.original.id))
    assert reason.deed == Press("bad", "turn-1", "It is too loud.", str(asked.original.id))


async def test_a_question_about_a_message_is_asked_in_a_window(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    devs = fake.role(place.guild, "devs")
    place.ada.roles.append(devs)
    async with running(platform, keep, fake):
        await offered(fake)
        about = await fake.say(place.general, place.bob, "Bells are loud.\nAre they?", files={"bells.csv": b"12"})
        chosen = await fake.choose(about, place.ada, ASKS_ABOUT.name)
        await fake.until(lambda: chosen.modal)
        assert chosen.modal is not None
        assert (chosen.modal["title"], chosen.answer and chosen.answer["type"]) == ("Ask about this message", 9)
        sent = await fake.submit(chosen, "Is that so?")
        keep_message = await keep.next()
        asked = await keep.next()
        await platform.post(Post(asked, Reply("It is.", "turn-1")))
    assert keep_message.addressed == "ambient"

    # A window outlives the process that opened it; then the message is read again.
    place.general.denied.discard("view_channel")
    async with running(platform := own(fake), keep, fake):
        late = await fake.submit(chosen, "")
        anew = await keep.next()
        del place.general.messages[about.id]
        lost = await fake.submit(chosen, "Once more?")
        await fake.until(lambda: lost.original and lost.original.content)

    assert asked.text == "Is that so?\n\n> Bob wrote:\n> Bells are loud.\n> Are they?"
    assert asked.author.roles == (str(devs.id),)
    assert [file.name for file in asked.attachments] == ["bells.csv"]
    assert sent.original is not None
    assert fake.channels[sent.original.id].name == "Is that so?"
    link = f"https://discord.com/channels/{place.guild.id}/{place.general.id}/{about.id}"
    assert sent.original.content == f"> Is that so? {link}\nIt is."
    assert anew.text == "> Bob wrote:\n> Bells are loud.\n> Are they?"
    assert anew.attachments == asked.attachments
    assert anew.event_id == str(late.id)
    assert lost.original is not None
    assert "cannot read that message" in lost.original.content


async def test_who_may_not_ask_is_told_alone_and_nothing_stays_behind(
    fake: FakeDiscord, place: Place, stage: DiscordStage, tmp_path: Path
) -> None:
    async with playing(stage, Parrot(), tmp_path, access=Access(deny_users=[place.bob.id])) as scene:
        await offered(fake)
        asked = await fake.command(place.general, place.bob, "ask", "Do you sell bells?")
        refusal = await scene.reads("Sorry, I may not talk with you", stage.channel)

    assert refusal.private_to == str(place.bob.id)
    assert asked.original is None
    assert [message.flags & EPHEMERAL for message in place.general.messages.values()] == [EPHEMERAL]


async def test_what_gets_no_answer_no_longer_seems_to_wait_for_one(
    fake: FakeDiscord, place: Place, stage: DiscordStage, tmp_path: Path
) -> None:
    agent = Parrot()
    agent.hold("tea")
    limits, manners = Limits(per_user="4/h"), Manners(busy="merge", scope="channel")
    async with playing(stage, agent, tmp_path, limits=limits, manners=manners) as scene:

        @scene.bot.command("quiet", "Say nothing.")
        async def quiet(asked: Asked) -> None:
            """Say nothing."""

        await offered(fake)
        await scene.say("tea", stage.channel, mention=True)
        await agent.until_asked("tea")
        merged = await fake.command(place.general, place.ada, "ask", "milk")
        last = await fake.command(place.general, place.ada, "ask", "sugar")
        await fake.until(lambda: merged.original and last.original)
        await scene.arrived(3)
        stopped = await fake.command(place.general, place.bob, "stop")
        await fake.until(lambda: stopped.answer and not stopped.original)
        await fake.until(lambda: not merged.original)
        answer = await scene.reads("sugar (", stage.channel)
        for _ in range(3):  # one too many, which is said once
            refused = await fake.command(place.general, place.ada, "undo")
            await fake.until(lambda given=refused: given.answer)
        await fake.until(lambda: refused.original is None)

    assert last.original is not None
    assert answer.id == str(last.original.id)
    assert agent.asked == ["tea", "milk\n\nsugar"]


async def test_a_command_about_a_conversation_is_taken_where_it_is_clear_which(
    fake: FakeDiscord, place: Place, stage: DiscordStage, tmp_path: Path
) -> None:
    async with playing(stage, Parrot(), tmp_path) as scene:
        await offered(fake)
        thread = await scene.begin("tea")
        await fake.command(place.general, place.ada, "undo")
        told = await scene.reads("Which conversation do you mean?", stage.channel)
        await fake.command(fake.channels[int(thread.thread)], place.ada, "undo")
        await scene.reads("I took back the last answer", thread)
    async with playing(stage, Parrot(), tmp_path, manners=Manners(scope="channel")) as scene:
        await scene.begin("milk")
        await fake.command(place.general, place.ada, "undo")
        await scene.reads("I took back the last answer", stage.channel)

    assert told.private_to == str(place.ada.id)
    assert "give `/undo` in its thread" in told.text


async def test_a_command_that_says_nothing_leaves_nothing(
    fake: FakeDiscord, place: Place, stage: DiscordStage, tmp_path: Path
) -> None:
    async with playing(stage, Parrot(), tmp_path) as scene:
        await offered(fake)
        await scene.ask("tea")
        forgotten = await fake.command(fake.dm(place.ada), place.ada, "forget-me")
        warning = await scene.reads("for good")
        await scene.press("Delete it all", warning)
        done = await scene.reads("I deleted what you wrote to me")

    assert forgotten.private
    assert {warning.private_to, done.private_to} == {str(place.ada.id)}


async def test_after_fifteen_minutes_the_answer_is_a_message(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await offered(fake)
        asked = await fake.command(place.general, place.ada, "ask", "Do you sell bells?")
        inbound = await keep.next()
        begun = await platform.begin(inbound, "We do", [Button("stop", "Stop", inbound.event_id)])
        fake.clock += 901
        await platform.edit(inbound, begun, "We do, and")
        posted = await platform.post(Post(inbound, Reply(LONG), shown=(begun,)))
        second = await fake.command(place.general, place.ada, "ask", "And pumps?")
        late = await keep.next()
        fake.clock += 901
        waited = await platform.post(saying(late, "Those too."))
        given = [await fake.command(where, place.ada, "ask", "?") for where in (place.general, fake.dm(place.ada))]
        in_channel, direct = sorted([await keep.next() for _ in given], key=lambda one: one.addressed == "direct")
        fake.clock += 901
        with pytest.raises(PlatformError, match="for one person alone"):
            await platform.post(Post(in_channel, Reply("Only you.", private=True)))
        await platform.post(Post(direct, Reply("Only you.", private=True)))

    assert [message.content for message in fake.posts[-1:]] == ["Only you."]
    assert fake.posts[-1].channel is fake.dm(place.ada)
    first, *further = [place.general.messages[int(each)] for each in posted.message_ids]
    assert first is asked.original
    assert first.content.startswith("Paragraph 0")
    assert further
    assert all(message.nonce for message in further)
    message = place.general.messages[int(waited.message_ids[0])]
    assert (message.content, message.reply_to, second.original) == ("Those too.", second.original, second.original)


async def test_what_discord_delivers_twice_is_one_and_what_comes_too_late_is_none(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.addFilter(lambda _: fake.changed() is None)  # the fake does not see that its refusal was read
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await offered(fake)
        asked = await fake.command(place.general, place.ada, "ask", "Do you sell bells?")
        once = await keep.next()
        await fake.announce_interaction(asked)
        twice = await keep.next()
        fake.clock += 100
        asked.answer, asked.original = None, None
        await fake.announce_interaction(asked)
        await fake.until(lambda: "is not carried out" in caplog.text)
        fake.cut("POST", "/interactions/*/callback")
        await fake.command(place.general, place.ada, "ask", "And pumps?")
        await fake.until(lambda: caplog.text.count("is not carried out") == 2)
        assert keep.empty

    assert once == twice


async def test_where_the_bot_may_nothing_it_answers_what_is_asked_by_a_command(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    keep, platform = Keep(), own(fake)
    place.general.denied |= {"send_messages", "attach_files", "create_public_threads", "read_message_history"}
    async with running(platform, keep, fake):
        await offered(fake)
        asked = await fake.command(place.general, place.ada, "ask", "A plan?")
        plan = ReplyFile("plan.txt", "text/plain", b"first, bells")
        await platform.post(Post(await keep.next(), Reply(LONG, "turn-1", files=(plan,))))

    assert asked.original is not None
    assert asked.further
    assert asked.further[-1].files == {"plan.txt": b"first, bells"}
    assert asked.original.id not in fake.channels
    assert not [record for record in caplog.records if record.name.startswith("dspy")]


async def test_in_a_thread_that_it_is_asked_in_the_bot_stays(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    started = await fake.say(place.general, place.bob, "plans")
    thread = await fake.open_thread(started, "plans", place.bob)
    async with running(platform, keep, fake):
        await offered(fake)
        asked = await fake.command(thread, place.bob, "ask", "Which?")
        question = await keep.next()
        await platform.post(Post(question, Reply("These.", "turn-1")))
        await fake.until(lambda: fake.bot.id in thread.members)

    assert (question.key.thread, question.channel_name) == (str(thread.id), "general")
    assert asked.original is not None
    assert asked.original.content == "> Which?\nThese."


async def test_who_cannot_be_heard_is_told(fake: FakeDiscord, place: Place) -> None:
    class Down(Keep):
        async def __call__(self, event: Event) -> None:
            raise SessionError("the bot is stopping and takes no more messages")

    async with running(own(fake), Down(), fake):
        await offered(fake)
        asked = await fake.command(place.general, place.ada, "ask", "Do you sell bells?")
        await fake.until(lambda: asked.original and asked.original.content)

    assert asked.original is not None
    assert asked.original.content.endswith(NOT_TAKEN)


async def test_where_the_bot_is_no_member_it_says_so(fake: FakeDiscord, place: Place) -> None:
    elsewhere = fake.guild("Elsewhere")
    elsewhere.has_bot = False
    channel, keep = fake.channel(elsewhere, "lobby"), Keep()
    async with running(own(fake), keep, fake):
        await offered(fake)
        asked = await fake.command(channel, place.ada, "ask", "Do you sell bells?")
        await fake.until(lambda: asked.original)
        assert keep.empty

    assert asked.original is not None
    assert (asked.original.content, asked.private) == (NO_MEMBER, True)


async def test_a_question_on_the_way_leaves_the_place_of_the_answer_free(
    fake: FakeDiscord, place: Place, stage: DiscordStage, tmp_path: Path
) -> None:
    class Careful(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.delete = ask_first(delete, who="anyone")

        async def aforward(self, message: str) -> dspy.Prediction:
            return dspy.Prediction(reply=await self.delete(what=message))

    async with playing(stage, Careful(), tmp_path) as scene:
        await offered(fake)
        asked = await fake.command(place.general, place.ada, "ask", "the old account")
        question = await scene.reads("May I use delete?", stage.channel)
        assert asked.original is not None
        assert asked.original.loading
        await scene.press("Approve", question, stage.channel, scene.ben)
        answer = await scene.reads("the old account is deleted", stage.channel)
        decided = await scene.reads("approved by Bob", stage.channel)

    assert answer.id == str(asked.original.id)
    assert decided.id == question.id


async def test_a_question_whose_file_is_not_taken_says_all_the_same_what_became_of_it(
    fake: FakeDiscord, place: Place, stage: DiscordStage, tmp_path: Path
) -> None:
    class Careful(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.delete = ask_first(delete)

        async def aforward(self, message: str) -> dspy.Prediction:
            return dspy.Prediction(reply=(await self.delete(what=message))[:9])

    place.general.denied.add("attach_files")
    async with playing(stage, Careful(), tmp_path) as scene:
        thread = (await scene.say("very old " * 150, stage.channel, mention=True)).answers
        told = await scene.reads("Discord did not take: delete.txt", thread)
        question = await scene.reads("May I use delete?", thread)
        await scene.press("Deny", question, thread, scene.ben)
        refusal = await scene.reads("Only Ada may decide this.", thread)  # before a window is opened
        await scene.press("Approve", question, thread)
        decided = await scene.reads("approved by Ada", thread)

    assert decided.text.startswith("**May I use delete?**")
    assert told.id != decided.id
    assert refusal.private_to == str(place.bob.id)
    assert [seen.text for seen in scene.said(thread)][:2] == [decided.text, told.text]


async def test_an_answer_that_grows_in_place_is_stopped_by_its_button(
    fake: FakeDiscord, place: Place, stage: DiscordStage, tmp_path: Path
) -> None:
    model = ScriptedModel(["We sell ", asyncio.Event()])
    async with playing(stage, dspy.Predict("message -> reply"), tmp_path, lm=model.lm) as scene:
        await offered(fake)
        asked = await fake.command(place.general, place.ada, "ask", "What?")
        await scene.press("Stop", await scene.reads("We sell", stage.channel), stage.channel)
        stopped = await scene.reads("(stopped)", stage.channel)
        (turn,) = await scene.remembers(lambda turns: turns)

    assert asked.original is not None
    assert (stopped.id, turn.stopped) == (str(asked.original.id), "stopped")


async def delete(what: str) -> str:
    """Delete something."""
    return f"{what} is deleted"


async def test_a_private_reply_to_a_press_waits_until_discord_takes_it(fake: FakeDiscord, place: Place) -> None:
    keep, platform = Keep(), own(fake)
    async with running(platform, keep, fake):
        await fake.say(fake.dm(place.ada), place.ada, "hi")
        await platform.post(Post(await keep.next(), Reply("hello", buttons=(Button("stop", "Stop"),))))
        answer = await fake.next_post()
        pressed = await fake.press(answer, place.ada, "Stop")
        press = await keep.action()
        posted = await platform.post(Post(press, Reply("There is nothing to stop.", private=True)))
        public = await platform.post(saying(press, "It stopped."))

    (told,) = pressed.further
    assert (str(told.id), told.private_to) == (posted.message_ids[0], place.ada.id)
    assert public.message_ids == (str(fake.posts[-1].id),)
    assert fake.posts[-1].webhook_id is None


async def test_whatever_discord_tells_of_an_interaction_the_next_one_is_heard(
    fake: FakeDiscord, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    keep, dm = Keep(), fake.dm(place.ada)
    changes: list[dict[str, object]] = [
        {"type": 1, "data": None},
        {"type": 4, "data": {"id": "1", "name": "ask", "type": 1, "options": [{"type": 3, "name": "text"}]}},
        {"type": 5, "data": {"custom_id": "theirs", "components": []}},
        {"type": 5, "data": {"custom_id": "dspy-about:x", "components": []}},
        {"type": 99},
        {"channel": {}, "channel_id": None},
        {"channel": {"id": "17", "type": 99}},
        {"data": {"id": "1", "name": "theirs", "type": 2, "target_id": "5"}},
        {"data": {"id": "1", "name": "group", "type": 1, "options": [{"type": 1, "name": "sub", "options": []}]}},
        {"data": {"id": "1", "name": "ask", "type": 1, "options": None}},
        {"context": None, "authorizing_integration_owners": {}},
        {"locale": "xx-YY", "app_permissions": "0", "entitlements": []},
    ]
    async with running(own(fake), keep, fake):
        await offered(fake)
        for number, change in enumerate(changes):
            odd = Interaction(number, f"token-{number}", Kind.COMMAND, place.ada, dm, ASKED, fake.clock)
            fake.interactions[number] = odd
            payload = {**odd.payload(None, bot=fake.bot), **change}
            if change.get("context", 0) is None:
                del payload["context"]
            await fake.gateway.dispatch("INTERACTION_CREATE", lambda _, told=payload: told)
        await fake.command(dm, place.ada, "ask", "Still there?")
        heard = [await keep.event() for _ in range(5)]

    words = sorted(event.deed.name if isinstance(event, Action) else event.text for event in heard)  # type: ignore[union-attr]
    assert words == ["", "Do you sell bells?", "Do you sell bells?", "Still there?", "group"]
    assert not [record for record in caplog.records if record.name.startswith("dspy")]
