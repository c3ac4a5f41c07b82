"""``dspy-bots discord``: the link that invites a bot, and a look over one that a Discord of our own tells of."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from dspy_session_bots.proxy import proxied as proxied_by_environment
from dspy_session_discord.setup.invite import invite
from tests.bots.command_line import Line, Result, run_lines
from tests.loopback.discord import FakeDiscord
from tests.loopback.discord.proxy import proxied

Results = Mapping[str, Result]

MISUSES = {
    "--server Acme": "--server takes an id such as 1193847561029384756, and 'Acme' is none: in Discord, switch on",
    "--channel ³": "then right-click the channel, Copy Channel ID",
    "--server 0": "'0' is none",
    f"--channel {2**63}": "is none",
    "--server 1 --channel 2": "--channel says which server it is: leave out --server",
}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeDiscord]:
    fake = FakeDiscord()
    fake.channel(fake.guild("Acme"), "general").denied.add("attach_files")
    fake.channel(fake.guild("Bells"), "sounds")
    return fake


@pytest.fixture(scope="module")
def results(fake: FakeDiscord, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What becomes of each command line, in one process, which finds our Discord by a proxy."""
    folder: Path = tmp_path_factory.mktemp("discord")
    (folder / "discord.env").write_text(f"DISCORD_TOKEN={fake.token}\n", encoding="utf-8")

    async def run() -> list[Result]:
        async with fake, proxied(fake, folder / "authority.pem") as way:
            there = {**way, "DISCORD_TOKEN": fake.token}
            gone = ("discord", "dspy_session_discord")
            setup = ["discord", "setup"]
            lines = [
                *(Line([*setup, *words.split()], variables=there) for words in MISUSES),
                Line(setup, variables=way),
                Line(setup, variables={**way, "DISCORD_TOKEN": "a.wrong.token"}),
                Line(setup, variables=way, missing=gone),
                Line([*setup, "--env-file", "discord.env"], variables=way),
                Line([*setup, "--json"], variables=there),
                Line([*setup, "--server", str(max(fake.guilds))], variables=there),
                Line(setup, variables={**there, "HTTPS_PROXY": "http://127.0.0.1:9"}),
                Line(setup, variables={**there, "HTTPS_PROXY": "ann:hunter2@proxy.example:3128"}),
            ]
            return await asyncio.to_thread(run_lines, lines, folder, anew=True)

    names = [
        "without a token",
        "refused",
        "without the extra",
        "looked over",
        "for programs",
        "all is there",
        "no network",
        "no proxy",
    ]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SSL_CERT_FILE", str(folder / "authority.pem"))  # read when aiohttp is imported
        return dict(zip([*MISUSES, *names], asyncio.run(run()), strict=True))


def test_the_link_is_made_and_the_bot_is_looked_over(results: Results, fake: FakeDiscord) -> None:
    result = results["looked over"]
    assert (result.code, result.err) == (1, "")
    assert invite(fake.bot.id) in result.out.splitlines()
    for line in (
        rf"✓ +token +helper \({fake.bot.id}\)",
        r"✓ +Message Content Intent +on: the bot reads what people write",
        r"✗ +Acme #general +lacks Attach Files",
        r"✓ +Bells +the bot has all that it needs in #sounds",
        r"1\. In Acme, right-click #general, .* allow the bot's role Attach Files\.",
    ):
        assert re.search(f"^{line}$", result.out, re.MULTILINE), line
    assert fake.token not in result.out


def test_all_is_there(results: Results, fake: FakeDiscord) -> None:
    result = results["all is there"]
    assert (result.code, result.err) == (0, "")
    assert invite(fake.bot.id, max(fake.guilds)) in result.out.splitlines()
    assert "Acme" not in result.out
    assert result.out.endswith("\nAll is there. Now: dspy-bots run support.py:agent --discord\n")


def test_for_programs(results: Results, fake: FakeDiscord) -> None:
    result = results["for programs"]
    found = [json.loads(line) for line in result.out.splitlines()]
    assert (result.code, [each["holds"] for each in found]) == (1, [True, True, False, True, None])
    assert found[-1] == {"what": "invite link", "holds": None, "says": invite(fake.bot.id), "mend": ""}


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("without a token", "DISCORD_TOKEN is not set"),
        ("refused", "Discord does not accept it: it is wrong, or was reset"),
        ("no network", "Discord cannot be reached: "),
    ],
)
def test_a_bot_that_cannot_log_in(results: Results, case: str, says: str) -> None:
    result = results[case]
    assert (result.code, result.err) == (1, "")
    assert re.search(rf"^✗ +token +{says}", result.out, re.MULTILINE), result.out
    assert "To do:\n\n1. " in result.out
    assert "wrong.token" not in result.out


@pytest.mark.parametrize("words", MISUSES)
def test_bad_input_is_one_line(results: Results, words: str) -> None:
    result = results[words]
    assert (result.code, result.out) == (2, "")
    assert MISUSES[words] in result.complaint
    assert result.complaint.endswith("(see dspy-bots discord setup --help)")


def test_without_the_extra(results: Results) -> None:
    result = results["without the extra"]
    assert result.code == 1
    assert "discord setup needs discord, which is not installed: pip install '.[discord]'" in result.complaint


def test_what_is_no_proxy_is_one_line_that_does_not_show_it(results: Results) -> None:
    result = results["no proxy"]
    assert result.code == 1
    assert result.complaint == "HTTPS_PROXY is not the address of an HTTP proxy: it is like http://proxy.example:3128"


def test_the_proxy_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert proxied_by_environment() == {}
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert proxied_by_environment() == {"proxy": "http://proxy.example:3128"}
    monkeypatch.setenv("NO_PROXY", "localhost,discord.com")
    assert proxied_by_environment() == {}
