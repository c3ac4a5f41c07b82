"""``dspy-bots slack``: the manifest and its link, and a look over an app that a Slack of our own tells of."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dspy_session_slack import Slack
from dspy_session_slack.setup.manifest import Setup, manifest
from dspy_session_slack.setup.scopes import Features, bot_scopes
from tests.bots.command_line import PATIENCE, Line, Result, run_lines
from tests.bots.test_chat import keyboard
from tests.loopback.slack import FakeSlack
from tests.loopback.slack.http_mode import SECRET
from tests.slack.test_reaching import served

Results = Mapping[str, Result]

TOKENS = ("xoxb-loopback-secret", "xapp-1-loopback-secret")
GONE = ("slack_bolt", "dspy_session_slack")

LINES = {
    "piped": "manifest --name Support --description Helps. --assistant --org --command /sup",
    "filed": "manifest --out app.json",
    "over http": "manifest --http https://bot.example.com --workspaces --no-commands",
    "into a folder": "manifest --out .",
    "without tokens": "check",
    "at an address": "check --http http://127.0.0.1:9",
}
MISUSES = {
    "manifest --http https://a.b --socket-mode": "--http and --socket-mode are two ways for the same: choose one",
    "manifest --workspaces": "--workspaces needs --http URL",
    "manifest --command x --no-commands": "--command names a slash command: leave out --no-commands",
    f"manifest --name {'x' * 36}": "the name of the app has 36 characters, and Slack takes 35: shorten it",
    "manifest --http localhost:3000": "'localhost:3000' is no address that Slack can reach",
    "check --http http://bot.example.com": "'http://bot.example.com' is no address that Slack can reach",
    "check --http https://bot.example.com --listen 60": "--listen waits at a socket: leave it out with --http",
    "check --workspaces": "--workspaces needs --http URL, where they install the app",
    "check --listen 0": "Invalid value for '--listen'",
    "check --listen soon": "Invalid value for '--listen'",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slack")
    tokens = dict(zip(("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"), TOKENS, strict=True))
    (folder / "slack.env").write_text("".join(f"{name}={token}\n" for name, token in tokens.items()), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    """What becomes of each command line, in one process."""

    async def run() -> list[Result]:
        lacking = {*bot_scopes(Features(assistant=True))} - {"files:write"}
        door = served(*Slack(signing_secret=SECRET).routes())
        async with FakeSlack(bot_scopes=lacking) as fake, FakeSlack() as whole, door as url:
            address = {"SLACK_API_URL": fake.base_url}
            all_there = {"SLACK_API_URL": whole.base_url}
            swapped = {"SLACK_BOT_TOKEN": TOKENS[1], "SLACK_APP_TOKEN": TOKENS[0]}
            looked_over = "slack check --assistant --listen 1 --env-file slack.env"
            lines = [Line(["slack", *line.split()]) for line in (*LINES.values(), *MISUSES)]
            lines += [Line(["slack", "check", "--json"], variables=swapped)]
            lines += [Line(["slack", command], missing=GONE) for command in ("manifest", "check")]
            lines += [Line(looked_over.split(), variables=address)]
            lines += [Line(["slack", "check", "--env-file", "slack.env"], variables=all_there)]
            signed = all_there | {"SLACK_SIGNING_SECRET": SECRET}
            lines += [Line(["slack", "check", "--http", url, "--env-file", "slack.env"], variables=signed)]
            return await asyncio.to_thread(run_lines, lines, folder)

    names = [*LINES, *MISUSES, "swapped", "manifest without the extra", "check without the extra"]
    names += ["looked over", "all is there", "all is there over http"]
    return dict(zip(names, asyncio.run(run()), strict=True))


def test_the_manifest_is_written_and_what_to_do_with_it_is_said(results: Results, folder: Path) -> None:
    piped, filed, over_http = results["piped"], results["filed"], results["over http"]
    made = json.loads(piped.out)
    assert made == manifest(Setup("Support", "Helps.", Features(assistant=True), command="sup", org=True))
    address = urlsplit(re.findall(r"^https://\S+$", piped.err, re.MULTILINE)[0])
    assert json.loads(parse_qs(address.query)["manifest_json"][0]) == made
    for said in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "dspy-bots slack check", "dspy-bots run", "@Support"):
        assert said in piped.err

    assert json.loads((folder / "app.json").read_text(encoding="utf-8")) == manifest(Setup("DSPy bot"))
    assert filed.out.startswith("app.json is written.\n\n1. Open this link")
    assert (piped.code, filed.code, filed.err) == (0, 0, "")

    redirect_urls = json.loads(over_http.out)["oauth_config"]["redirect_urls"]
    assert redirect_urls == ["https://bot.example.com/slack/oauth_redirect"]
    for said in ("SLACK_SIGNING_SECRET", "SLACK_CLIENT_SECRET", "--http https://bot.example.com --workspaces"):
        assert said in over_http.err
    assert "SLACK_APP_TOKEN" not in over_http.err
    assert (results["into a folder"].code, results["into a folder"].complaint) == (1, "cannot write .: it is no file")


@pytest.mark.parametrize(("output", "is_written"), [([], False), (["--output", "-"], True)])
async def test_at_a_terminal_the_link_comes_without_the_json(
    output: list[str], *, is_written: bool, tmp_path: Path
) -> None:
    async with keyboard("slack", "manifest", *output, folder=tmp_path) as terminal:
        async with asyncio.timeout(PATIENCE):
            assert await terminal.process.wait() == 0
        await terminal.sees("@DSPy bot")
    screen = terminal.screen.replace("\r", "")
    assert ('"display_information"' in screen) is is_written
    assert ("--output FILE, or a pipe, gives it as JSON.\n" in screen) is not is_written
    (link,) = re.findall(r"^https://\S+$", screen, re.MULTILINE)
    assert json.loads(parse_qs(urlsplit(link).query)["manifest_json"][0]) == manifest(Setup("DSPy bot"))


@pytest.mark.parametrize("line", MISUSES)
def test_bad_input_is_one_line(results: Results, line: str) -> None:
    result = results[line]
    assert (result.code, result.out) == (2, "")
    assert MISUSES[line] in result.complaint
    assert result.complaint.endswith(f"(see dspy-bots slack {line.split(maxsplit=1)[0]} --help)")


def test_without_tokens_and_with_swapped_ones(results: Results) -> None:
    bare, swapped = results["without tokens"], results["swapped"]
    assert (bare.code, bare.err) == (1, "")
    assert re.search(r"^✗ +bot token +SLACK_BOT_TOKEN is not set$", bare.out, re.MULTILINE)
    assert "\nTo do:\n\n1. On the page OAuth & Permissions" in bare.out
    found = [json.loads(line) for line in swapped.out.splitlines()]
    assert [each["holds"] for each in found] == [False, False]
    assert "holds an app-level token" in found[0]["says"]
    (mend,) = {each["mend"] for each in found}
    assert mend.startswith("The tokens are swapped: set SLACK_BOT_TOKEN to the xoxb-… one, and SLACK_APP_TOKEN to ")
    assert not any(token in swapped.out for token in TOKENS)
    at_an_address = results["at an address"]
    assert at_an_address.code == 1
    assert re.search(r"^✗ +signing secret +SLACK_SIGNING_SECRET is not set$", at_an_address.out, re.MULTILINE)
    assert "SLACK_APP_TOKEN" not in at_an_address.out


@pytest.mark.parametrize("command", ["manifest", "check"])
def test_without_the_extra(results: Results, command: str) -> None:
    result = results[f"{command} without the extra"]
    assert result.code == 1
    assert "needs slack_bolt, which is not installed: pip install '.[slack]'" in result.complaint


def test_an_app_is_looked_over(results: Results) -> None:
    result = results["looked over"]
    assert result.code == 1
    assert result.err == "Write to @helper in Slack now: waiting for 1 s.\n"
    for line in (
        r"✓ +bot token +@helper in Loopback \(T0LOOPBACK\)",
        r"✗ +send files +lacks files:write",
        r"✓ +greet and suggest prompts +assistant:write",
        r"✓ +socket +opened, and Slack greeted it",
        r"✗ +events +none came in 1 s",
        r"· +buttons +see yourself: on the page Interactivity & Shortcuts, Interactivity is on",
    ):
        assert re.search(f"^{line}$", result.out, re.MULTILINE), line
    assert not any(token in result.out + result.err for token in TOKENS)


def test_all_is_there(results: Results) -> None:
    result = results["all is there"]
    assert (result.code, result.err) == (0, "")
    assert "✗" not in result.out
    assert result.out.endswith("\nAll is there, as far as Slack tells. Now: dspy-bots run support.py:agent --slack\n")
    over_http = results["all is there over http"]
    assert (over_http.code, over_http.err) == (0, "")
    assert re.search(r"^✓ +address +http://\S+/slack/events answers Slack's challenge", over_http.out, re.MULTILINE)
    assert "Interactivity is on with a Request URL that leads to the bot" in over_http.out, "not one of this machine's"
    assert over_http.out.endswith("\nAll is there, as far as Slack tells. Now: write to the bot in Slack\n")
