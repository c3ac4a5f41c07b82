"""What a bot may do, from the command line, the environment and ``.env``."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import get_args

import pytest

from dspy_session_bots.rules import HEADINGS, RULES, Rule, discord_of, rules_of, slack_of, unknown_variables
from dspy_session_chat import Access, Limits, Manners
from dspy_session_chat.bot import DEFAULT_LIMITS
from dspy_session_chat.rules import manners
from dspy_session_discord import Discord
from dspy_session_slack import Assistant, Slack
from tests.bots.command_line import Line, dspy_bots, interrupted, run_lines, started, until
from tests.bots.test_run import ECHO, environment
from tests.loopback.slack import ANN, FakeSlack

CLASSES = {"Manners": Manners, "Limits": Limits, "Access": Access}
NOTHING = dict.fromkeys(rule.name for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_is_an_option_of_its_class(rule: Rule) -> None:
    if rule.of in ("Slack", "Discord"):
        takers = (Discord,) if rule.of == "Discord" else (Slack, Assistant)
        assert any(rule.name in inspect.signature(taker).parameters for taker in takers)
        return
    [field] = [each for each in dataclasses.fields(CLASSES[rule.of]) if each.name == rule.name]
    kinds = {"bool": bool, "int": int, "float": float, "Ids": list}
    assert kinds.get(str(field.type).partition(" ")[0], str) is rule.kind
    if "|" in rule.metavar:
        assert rule.metavar.split("|") == list(get_args(getattr(manners, str(field.type))))


def test_what_nobody_says_stays_as_it_is() -> None:
    assert rules_of(NOTHING) == (Manners(), DEFAULT_LIMITS, Access())


def test_what_is_said_is_taken() -> None:
    said = {"busy": "merge", "buttons": False, "per_user": "20/m", "tool_steps": 0, "admins": ["U1"], "deny_users": []}
    behaviour, limits, access = rules_of(NOTHING | said)
    assert behaviour == Manners(busy="merge", buttons=False)
    assert limits == dataclasses.replace(DEFAULT_LIMITS, per_user="20/m", tool_steps=0)
    assert access == Access(admins=["U1"])


def test_what_discord_alone_has_is_taken_as_it_takes_it() -> None:
    assert discord_of(NOTHING) == {}
    assert discord_of(NOTHING | {"threads": ["reply", "support=open"], "activity": "none", "catch_up": "1h"}) == {
        "threads": {"*": "reply", "support": "open"},
        "activity": None,
        "catch_up": "1h",
    }


def test_what_slack_alone_has_is_taken_as_it_takes_it() -> None:
    assert slack_of(NOTHING) == {}
    said = {"greeting": "Hello!", "prompts": "Open today? | Any bells?", "streams": "nowhere"}
    assert slack_of(NOTHING | said) == said | {"prompts": ["Open today?", "Any bells?"]}


def test_help_is_in_parts(tmp_path: Path) -> None:
    [result] = run_lines([Line(["run", "--help"])], tmp_path)
    places = [result.out.index(f"\n{heading}:\n") for heading in ("Arguments", "Options", *HEADINGS.values())]
    firsts = ("--slack", "--busy", "--per-user", "--admin", "--greeting", "--threads")
    options = [result.out.index(f"\n  {option} ") for option in firsts]
    assert sorted((*places, *options)) == [
        places[0],
        *(place for pair in zip(places[1:], options, strict=True) for place in pair),
    ]


async def test_flags_go_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO, encoding="utf-8")
    (tmp_path / ".env").write_text("BOT_PER_USER=9/h\nBOT_DENY_USERS=U8 U9\nBOT_INPUT_CHARACTERS=5\n", encoding="utf-8")
    async with FakeSlack() as slack:
        variables = environment(slack) | {"BOT_PER_USER": "7/h", "BOT_INPUT_CHARACTERS": "10"}
        flags = ("--per-user", "1/h")
        async with started("run", "echo.py:agent", "--slack", *flags, folder=tmp_path, **variables) as program:
            await until(program, "Ctrl-C stops")
            await slack.connected()
            said = []
            for text in ("much too long", "hello", "again"):
                await slack.say(text, channel="D0ANN", user=ANN.id)
                said.append((await slack.next_post()).text)
            result = await interrupted(program)
    assert said[0].startswith("Your message has 13 characters, and I read 10 at most")
    assert said[1] == "hello after 0"
    assert said[2].startswith("You have reached your limit of 1 message an hour")
    assert result.code == 0


async def test_a_budget_in_money_needs_prices(tmp_path: Path) -> None:
    (tmp_path / "asks.py").write_text("import dspy\nagent = dspy.Predict('question -> answer')\n", encoding="utf-8")
    arguments = ("run", "asks.py", "--slack", "--money-a-day", "5", "--lm", "openai/of-tomorrow")
    tokens = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}
    result = await dspy_bots(*arguments, folder=tmp_path, **tokens)
    assert (result.code, result.out) == (1, "")
    assert result.complaint.startswith("no price is known for the model openai/of-tomorrow")


async def test_a_file_that_is_named_is_read_first(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO, encoding="utf-8")
    (tmp_path / "staging.env").write_text("BOT_RESPOND=sometimes\nSLACK_BOT_TOKEN=xoxb-1\nSLACK_APP_TOKEN=xapp-1\n")
    arguments = ("run", "echo.py:agent", "--slack", "--env-file", "staging.env")
    result = await dspy_bots(*arguments, folder=tmp_path)
    assert (result.code, result.out) == (1, "")
    assert result.complaint.startswith("respond must be one of 'mention', 'thread', 'always'")


def test_a_variable_that_no_bot_has_is_told_with_the_one_that_is_meant() -> None:
    environ = ["PATH", "BOT_PER_USER", "BOT_PER_USR", "BOT_ADMIN", "BOT_QQQQQQ"]
    assert list(unknown_variables(environ)) == [
        "BOT_ADMIN is no variable of a bot: did you mean BOT_ADMINS?",
        "BOT_PER_USR is no variable of a bot: did you mean BOT_PER_USER?",
        "BOT_QQQQQQ is no variable of a bot, and does nothing",
    ]
