"""The page with a real bot behind it: everything that people can do to an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import dspy
import pytest

from dspy_session_bots.playground.key import conversation_key
from dspy_session_chat.approval import ask_first
from dspy_session_chat.rules.manners import Manners
from tests.bots.playground.page import ANN, BEN, JSON, Page, serving
from tests.stub_lm import Prompt

KEY = conversation_key("one")


def counted() -> Callable[[Prompt], dict[str, str]]:
    """Answers with how often it was asked."""
    asked: list[Prompt] = []

    def reply(prompt: Prompt) -> dict[str, str]:
        asked.append(prompt)
        return {"answer": f"Answer {len(asked)} to {prompt.inputs['question']}"}

    return reply


def labels(exchange: JSON) -> list[str]:
    return [button["label"] for button in exchange["beneath"].get("buttons", ())]


def is_done(event: str) -> Callable[[JSON], bool]:
    """Whether an exchange is that of a deed, and the bot has said something to it."""
    return lambda exchange: exchange["id"] == event and exchange["phase"] in ("answered", "notice")


async def done(page: Page, event: str) -> JSON:
    """The exchange of a deed once the bot has said something to it."""
    return await page.until("exchange", is_done(event))


async def test_an_answer_is_stopped_and_the_agent_remembers_what_was_seen():
    never = asyncio.Event()
    steps = ["[[ ## answer ## ]]\n", "Once upon ", "a time ", "there was ", never]
    async with serving(reply=lambda prompt: steps) as visitor, visitor.page() as page:
        message = await visitor.say("Tell me a story", author=ANN)
        growing = await page.until("exchange", lambda exchange: "a time" in exchange["html"])
        (stop,) = growing["beneath"]["buttons"]
        await visitor.act("press", button=stop["action"], about=stop["about"])
        answer = await page.until(
            "exchange", lambda exchange: exchange["phase"] == "answered" and exchange["stopped"] != ""
        )
        (turn,) = (await visitor.conversations.state(KEY)).turns
    assert "Once upon a time" in answer["html"]
    assert (answer["id"], answer["stopped"]) == (message, "stopped")
    assert turn.stopped == "stopped"


async def test_an_answer_is_given_once_more_by_its_button():
    async with serving(reply=counted()) as visitor, visitor.page() as page:
        first = await page.answer(await visitor.say("Hello", author=ANN))
        assert labels(first) == ["Retry", "👍", "👎"]
        retry = first["beneath"]["buttons"][0]
        deed = await visitor.act("press", author=BEN, button=retry["action"], about=retry["about"])
        again, old = await page.until_all("exchange", is_done(deed), lambda exchange: not exchange["remembered"])
        (turn,) = (await visitor.conversations.state(KEY)).turns
    assert first["html"] == "<p>Answer 1 to Hello</p>\n"
    assert (again["html"], again["turn"]) == ("<p>Answer 2 to Hello</p>\n", turn.id)
    assert (again["deed"], again["name"], again["text"]) == (True, "Ben", "pressed Retry")
    assert old["id"] == first["id"]


async def test_a_failure_is_tried_once_more_by_its_button():
    tries: list[Prompt] = []

    def reply(prompt: Prompt) -> object:
        tries.append(prompt)
        return RuntimeError("the model is down") if len(tries) == 1 else {"answer": "Here I am."}

    async with serving(reply=reply) as visitor, visitor.page() as page:
        failed = await page.answer(await visitor.say("Hello", author=ANN))
        (retry,) = failed["beneath"]["buttons"]
        again = await done(page, await visitor.act("press", button=retry["action"], about=retry["about"]))
    assert (failed["phase"], retry["label"]) == ("notice", "Retry")
    assert (again["phase"], again["html"]) == ("answered", "<p>Here I am.</p>\n")


async def test_thumbs_count_for_each_person_and_are_taken_back():
    async with serving() as visitor, visitor.page() as page:
        answer = await page.answer(await visitor.say("Hello", author=ANN))
        turn = answer["turn"]
        await visitor.act("press", button="good", about=turn, author=ANN)
        await page.until("exchange", lambda exchange: exchange["verdicts"] == {"ann": 1.0})
        await visitor.act("press", button="bad", about=turn, author=BEN)
        await visitor.act("press", button="bad", about=turn, author=BEN, text="It is rude.")
        line = await page.until("turn", lambda line: "rude" in str(line["feedback"]))
        assert (line["score"], [said["score"] for said in line["feedback"]]) == (0.5, [1.0, 0.0])
        await visitor.act("press", button="good", about=turn, author=ANN)
        await page.until("exchange", lambda exchange: exchange["verdicts"] == {"ben": 0.0})
        await visitor.act("reaction", emoji="👍", message_id=answer["answer"], author=ANN)
        both = await page.until("exchange", lambda exchange: exchange["verdicts"] == {"ben": 0.0, "ann": 1.0})
        (shown,) = await visitor.exchanges()
    assert both["reactions"] == {"👍": ["ann"]}
    assert shown["verdicts"] == {"ben": 0.0, "ann": 1.0}


async def test_a_command_begins_anew_and_the_page_says_what_is_forgotten():
    async with serving() as visitor, visitor.page() as page:
        whole = await page.whole()
        first = await page.answer(await visitor.say("Hello", author=ANN))
        deed = await visitor.act("command", name="reset")
        said, old = await page.until_all("exchange", is_done(deed), lambda exchange: not exchange["remembered"])
        second = await page.answer(await visitor.say("Hello again", author=ANN))
        typed = await page.answer(await visitor.say("/undo", author=ANN))
    assert [command["name"] for command in whole["commands"]] == [
        *("help", "reset", "undo", "retry", "stop", "fork", "history", "forget-me"),
    ]
    assert "I no longer know" in said["html"]
    assert old["id"] == first["id"]
    assert "(after 0 messages)" in second["html"]
    assert "I took back the last answer" in typed["html"]


async def test_a_fork_is_a_thread_of_its_own():
    async with serving() as visitor, visitor.page() as page:
        await page.answer(await visitor.say("I keep bees", author=ANN))
        said = await done(page, await visitor.act("command", name="fork", text="All about bees"))
        async with visitor.page() as other:
            listed = {thread["title"]: thread["id"] for thread in (await other.whole())["threads"]}
        (there,) = await visitor.exchanges(listed["All about bees"])
    assert f'href="{visitor.origin}/#{listed["All about bees"]}"' in said["html"]
    assert there["text"] == "I keep bees"


async def test_a_fork_is_told_from_its_origin_after_a_restart(tmp_path: Path):
    store = f"sqlite:///{tmp_path / 'bees.db'}"
    async with serving(store) as visitor, visitor.page() as page:
        await page.answer(await visitor.say("Hello", author=ANN))
        await page.answer(await visitor.say("I keep bees", author=ANN))
        await done(page, await visitor.act("command", name="fork"))
    async with serving(store) as visitor, visitor.page() as page:
        listed = [thread["title"] for thread in (await page.whole())["threads"]]
    assert sorted(listed) == ["From: I keep bees", "Hello"]


async def test_who_wants_to_be_forgotten_is_on_the_page_no_more():
    async with serving() as visitor, visitor.page() as page:
        first = await page.answer(await visitor.say("I keep bees", author=ANN))
        ask = await done(page, await visitor.act("command", name="forget-me"))
        (button,) = ask["beneath"]["buttons"]
        assert ask["beneath"]["private"]
        assert first["id"] in [exchange["id"] for exchange in await visitor.exchanges()]
        await visitor.act("press", button=button["action"], about=button["about"])
        gone = await page.until("gone", lambda gone: gone["turns"] != [])
        async with visitor.page() as other:
            whole = await other.whole()
    assert first["id"] in gone["exchanges"]
    assert "bees" not in str(whole)


async def test_a_thread_in_which_nothing_is_left_leaves_the_list(tmp_path: Path):
    store = f"sqlite:///{tmp_path / 'bees.db'}"
    async with serving(store) as visitor, visitor.page() as page:
        await page.answer(await visitor.say("I keep bees", author=ANN))
        await visitor.ask("Mine is of Ben", thread="two")
        await page.answer(await visitor.say("/reset", author=ANN))
        await visitor.act("command", name="forget-me", text="yes")
        assert await page.until("unlisted") == {"id": "one"}
        async with visitor.page("two") as other:
            left = (await other.whole())["threads"]
    async with serving(store) as visitor, visitor.page("two") as page:
        later = (await page.whole())["threads"]
    assert [thread["id"] for thread in left] == [thread["id"] for thread in later] == ["two"]


async def test_a_thread_that_was_reset_keeps_its_name(tmp_path: Path):
    store = f"sqlite:///{tmp_path / 'bees.db'}"
    async with serving(store) as visitor, visitor.page() as page:
        await page.answer(await visitor.say("I keep bees", author=ANN))
        await page.answer(await visitor.say("/reset", author=ANN))
    async with serving(store) as visitor, visitor.page() as page:
        (listed,) = (await page.whole())["threads"]
    assert listed["title"] == "I keep bees"


async def test_manners_without_buttons_are_those_of_the_page_too(tmp_path: Path):
    store = f"sqlite:///{tmp_path / 'bees.db'}"
    shown: list[JSON] = []
    for _ in range(2):
        async with serving(store, manners=Manners(buttons=False), buttons=False) as visitor, visitor.page() as page:
            shown += (await page.whole())["thread"]["exchanges"]
            message = await visitor.say("I keep bees", author=ANN)
            while not shown or (shown[-1]["id"], shown[-1]["phase"]) != (message, "answered"):
                shown.append(await page.until("exchange"))
    assert {"working", "answered"} <= {exchange["phase"] for exchange in shown}
    assert [labels(exchange) for exchange in shown if labels(exchange)] == []


async def test_a_message_that_is_changed_is_answered_anew():
    async with serving(reply=counted()) as visitor, visitor.page() as page:
        message = await visitor.say("I kep bees", author=ANN)
        await page.answer(message)
        await visitor.act("edit", message_id=message, text="I keep bees")
        answer = await page.until(
            "exchange", lambda exchange: "Answer 2" in exchange["html"] and exchange["phase"] == "answered"
        )
        (turn,) = (await visitor.conversations.state(KEY)).turns
    assert "Answer 2 to I keep bees" in answer["html"]
    assert answer["remembered"]
    assert (turn.id, turn.inputs["question"]) == (answer["turn"], "I keep bees")


@pytest.mark.parametrize(("button", "outcome"), [("approve", "It is paid: 7"), ("deny", "not run")])
async def test_a_tool_asks_first(button: str, outcome: str):
    def pay(amount: int) -> str:
        """Pay."""
        return f"paid {amount}"

    def reply(prompt: Prompt) -> object:
        if "next_tool_name" not in prompt.outputs:
            return {"answer": "It is paid: 7" if "paid 7" in prompt.text else f"It was not run by {button}."}
        if "paid 7" in prompt.text or "was not run" in prompt.text:
            return {"next_thought": "Done.", "next_tool_name": "finish", "next_tool_args": {}}
        return {"next_thought": "Hm.", "next_tool_name": "pay", "next_tool_args": {"amount": 7}}

    agent = dspy.ReAct("question -> answer", tools=[ask_first(pay)])
    async with serving(reply=reply, agent=agent) as visitor, visitor.page() as page:
        message = await visitor.say("Pay 7", author=ANN)
        asked = await page.until("exchange", lambda exchange: exchange["asides"])
        (aside,) = asked["asides"]
        chosen = next(one for one in aside["beneath"]["buttons"] if one["action"] == button)
        await visitor.act("press", button=chosen["action"], about=chosen["about"], author=ANN)
        answer = await page.answer(message)
    (decided,) = answer["asides"]
    assert asked["phase"] == "working"
    assert outcome in answer["html"]
    assert ("approved by Ann" if button == "approve" else "denied by Ann") in decided["html"]
    assert decided["beneath"] == {}


async def test_the_text_of_a_file_reaches_the_agent():
    async with serving() as visitor, visitor.page() as page:
        kept = await visitor.bring("bees.txt", b"Bees make honey.")
        answer = await page.answer(await visitor.say("Read this", author=ANN, files=[kept["id"]]))
    assert "Bees make honey." in answer["html"]


async def test_messages_that_are_answered_together_do_not_wait():
    go_on = asyncio.Event()

    def reply(prompt: Prompt) -> list[object]:
        return [*([go_on] if "first" in prompt.last else []), "[[ ## answer ## ]]\nYes.\n\n[[ ## completed ## ]]"]

    async with serving(reply=reply, manners=Manners(busy="merge")) as visitor, visitor.page() as page:
        first = await visitor.say("The first", author=ANN)
        await page.until("exchange", lambda exchange: exchange["phase"] == "working")
        second, third = await visitor.say("And this", author=ANN), await visitor.say("And that", author=ANN)
        go_on.set()
        await page.answer(first)
        await page.until("exchange", lambda exchange: exchange["id"] == third and exchange["phase"] == "answered")
        phases = {exchange["id"]: exchange["phase"] for exchange in await visitor.exchanges()}
        turns = (await visitor.conversations.state(KEY)).turns
    assert len(turns) == 2
    assert phases == {first: "answered", second: "quiet", third: "answered"}


async def test_after_a_restart_it_is_known_who_spoke_and_their_message_can_still_be_changed(tmp_path: Path):
    store = f"sqlite:///{tmp_path / 'chat.db'}"
    async with serving(store, reply=counted()) as visitor, visitor.page() as page:
        await page.answer(await visitor.say("I keep bees", author=ANN))
        last = await page.answer(await visitor.say("I kep a dog", author=BEN))
        await visitor.act("press", button="bad", about=last["turn"], author=ANN)
        await page.until("exchange", lambda exchange: exchange["verdicts"] == {"ann": 0.0})
    async with serving(store, reply=counted()) as visitor, visitor.page() as page:
        shown = (await page.whole())["thread"]["exchanges"]
        await visitor.act("edit", author=BEN, message_id=shown[1]["id"], text="I keep a dog")
        answer = await page.until("exchange", lambda exchange: "I keep a dog" in exchange["html"])
    assert [(exchange["author"], exchange["name"]) for exchange in shown] == [("ann", "Ann"), ("ben", "Ben")]
    assert shown[1]["id"] == last["id"]
    assert (shown[1]["answer"], shown[1]["verdicts"]) == (last["answer"], {"ann": 0.0})
    assert "Answer 1 to I keep a dog" in answer["html"]
