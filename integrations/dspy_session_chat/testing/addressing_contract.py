"""When the bot speaks up, and what it takes for one conversation."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from dspy_session_chat.rules.access import Access
from dspy_session_chat.rules.manners import Manners, Scope
from dspy_session_chat.testing.scene import needs, playing
from dspy_session_chat.testing.scripted import Parrot
from dspy_session_chat.testing.stage import Stage


class AddressingContract:
    """To whom a bot listens, on every platform."""

    async def test_a_direct_message_is_answered_and_remembered(self, stage: Stage, tmp_path: Path) -> None:
        async with playing(stage, Parrot(), tmp_path) as scene:
            await scene.ask("tea")
            assert (await scene.ask("milk")).text.startswith("milk (1 before)")

    async def test_its_own_messages_are_none_for_it(self, stage: Stage, tmp_path: Path) -> None:
        agent = Parrot()
        access = Access(bots=[stage.bot_id] if stage.bot_id else [])
        async with playing(stage, agent, tmp_path, manners=Manners(respond="always"), access=access) as scene:
            thread = await scene.begin("tea")
            await scene.ask("milk", thread)
            await scene.ask("sugar")
            assert len(scene.said(thread)) == 2
        assert agent.asked == ["tea", "milk", "sugar"]

    async def test_a_thread_goes_on_without_mentions_and_with_several_people(
        self, stage: Stage, tmp_path: Path
    ) -> None:
        async with playing(stage, Parrot(), tmp_path) as scene:
            thread = await scene.begin("tea")
            assert "(1 before)" in (await scene.ask("milk", thread, person=scene.ben)).text
            assert "(2 before)" in (await scene.ask("sugar", thread)).text

    async def test_people_who_talk_to_each_other_are_left_alone_until_one_mentions_it(
        self, stage: Stage, tmp_path: Path
    ) -> None:
        needs(stage, "channels")
        agent = Parrot()
        async with playing(stage, agent, tmp_path) as scene:
            thread = await scene.begin("tea")
            await scene.say("what do you think?", thread, to=scene.ben)
            await scene.say("no idea", thread, person=scene.ben)
            await scene.arrived(3)
            await scene.say("and you?", thread, mention=True)
            await scene.reads("and you? (1 before)", thread)
            await scene.ask("thanks", thread, person=scene.ben)
        assert agent.asked == ["tea", "and you?", "thanks"]

    async def test_what_is_said_among_people_is_not_for_it(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "channels")
        agent = Parrot()
        async with playing(stage, agent, tmp_path) as scene:
            chatter = await scene.say("nice weather", scene.stage.channel, person=scene.ben)
            await scene.begin("tea")
            assert scene.said(chatter.answers) == []
            assert len(scene.writes.received) == 1
        assert agent.asked == ["tea"]

    async def test_in_some_channels_it_always_answers(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "channels")
        manners = Manners(respond="mention", channels={stage.channel.channel: "always"})
        async with playing(stage, Parrot(), tmp_path, manners=manners) as scene:
            await scene.ask("nice weather", scene.stage.channel, person=scene.ben)

    async def test_it_can_be_told_to_wait_for_mentions(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "channels")
        agent = Parrot()
        async with playing(stage, agent, tmp_path, manners=Manners(respond="mention")) as scene:
            thread = await scene.begin("tea")
            await scene.say("milk", thread)
            await scene.say("sugar", thread, mention=True)
            await scene.reads("sugar (1 before)", thread)
        assert agent.asked == ["tea", "sugar"]

    async def test_other_bots_get_no_answer(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "bots")
        agent = Parrot()
        assert stage.robot is not None
        async with playing(stage, agent, tmp_path, manners=Manners(respond="always")) as scene:
            said = await scene.say("tick", stage.channel, person=stage.robot, mention=True)
            await scene.begin("tea")
            assert scene.said(said.answers) == []
        assert agent.asked == ["tea"]

    async def test_a_bot_that_may_talk_to_it_is_answered_a_few_times(self, stage: Stage, tmp_path: Path) -> None:
        needs(stage, "bots")
        agent = Parrot()
        assert stage.robot is not None
        options = {"access": Access(bots=[stage.robot.id]), "manners": Manners(bot_turns=2)}
        async with playing(stage, agent, tmp_path, **options) as scene:
            thread = await scene.begin("tea")
            for text in ("tick", "tock", "tick once more"):
                await scene.say(text, thread, person=stage.robot)
            await scene.reads("tock (2 before)", thread)
            await scene.ask("stop it", thread)
            await scene.ask("ding", thread, person=stage.robot)
        assert agent.asked == ["tea", "tick", "tock", "stop it", "ding"]

    async def test_what_one_conversation_is_can_be_chosen(self, stage: Stage, tmp_path: Path) -> None:
        counts: dict[str, int] = {}
        for scope in get_args(Scope):
            (folder := tmp_path / scope).mkdir()
            async with playing(stage, Parrot(), folder, manners=Manners(scope=scope)) as scene:
                thread = await scene.begin(f"tea in the {scope}")
                await scene.ask(f"milk in the {scope}", thread, person=scene.ben)
                await scene.ask(f"sugar in the {scope}")
                counts[scope] = len(await scene.bot.conversations.list())
        places = 2 if stage.channel.channel != stage.direct(stage.people[0]).channel else 1
        assert counts == {"thread": 2, "channel": places, "user": 2, "user-in-channel": places + 1, "reply-chain": 2}

    async def test_who_may_not_talk_to_it_is_told_so(self, stage: Stage, tmp_path: Path) -> None:
        agent = Parrot()
        _, ben = stage.people
        async with playing(stage, agent, tmp_path, access=Access(deny_users=[ben.id])) as scene:
            thread = await scene.begin("tea")
            await scene.say("milk", thread, person=ben)
            said = await scene.reads("I may not talk with you", thread)
            assert said.private_to == (ben.id if stage.abilities.private else "")
        assert agent.asked == ["tea"]
