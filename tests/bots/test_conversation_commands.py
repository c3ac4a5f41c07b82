"""``dspy-bots conversations``: over files that a bot wrote, also while it writes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_session import read_examples, sessionify
from dspy_session.conversation import Conversations
from dspy_session.stores import SealingKey
from dspy_session_bots.tables import broken
from dspy_session_chat import ask_first
from dspy_session_chat.testing import ChatTester
from tests.bots.command_line import PATIENCE, Line, Result, dspy_bots, environment, run_lines
from tests.bots.kept import DISCORD, SLACK, Writer, fill, rate
from tests.bots.program import PROGRAM
from tests.bots.test_chat import keyboard


def lines(result: Result) -> list[Any]:
    assert (result.code, result.err) == (0, "")
    return [json.loads(line) for line in result.out.splitlines()]


def conversations(*arguments: str, said: str = "") -> Line:
    return Line(["conversations", *arguments], said=said)


def run(folder: Path, *commands: Line) -> list[Result]:
    return run_lines(commands, folder)


def test_list(tmp_path: Path) -> None:
    fill(tmp_path)
    everything, one, table, none, short = run(
        tmp_path,
        conversations("list", "--json"),
        conversations("list", "--json", "--prefix", "slack:"),
        conversations("list"),
        conversations("list", "--prefix", "teams:"),
        conversations("list", "--limit", "1"),
    )
    assert [(each["key"], each["turns"], each["entries"]) for each in lines(everything)] == [
        (DISCORD, 1, 1),
        (SLACK, 2, 6),
    ]
    [slack] = lines(one)
    assert (slack["created_at"], slack["updated_at"]) == ("2024-01-01T00:01:00.000000Z", "2024-01-01T00:03:00.000000Z")
    assert [line.split()[0] for line in table.out.splitlines()[2:]] == [DISCORD, SLACK]
    assert all(line.endswith(" days ago") for line in table.out.splitlines()[2:])
    assert none.out == "No conversation begins with teams:\n"
    assert short.out.splitlines()[-1] == "… and 1 more: --limit 0 shows all"


async def test_at_a_terminal_a_thread_in_slack_takes_one_line(tmp_path: Path) -> None:
    key = "slack:T0123456789:C0123456789:1700000000.000100"
    writer = Writer(tmp_path)
    writer.at = time.time() - 100 * 86_400
    async with writer.chats:
        await writer.take(key, "one")
    async with keyboard("conversations", "list", folder=tmp_path, COLUMNS="80") as terminal:
        await terminal.sees(" ago")
        async with asyncio.timeout(PATIENCE):
            assert await terminal.process.wait() == 0
    row = terminal.screen.splitlines()[2]
    assert row.startswith(f"{key} ")
    assert row.rstrip().endswith(" days ago")


def test_a_key_without_end_is_broken_where_a_line_ends() -> None:
    assert broken("slack:T0123456789:user:U0123456789", 20) == "slack:T0123456789:\nuser:U0123456789"
    assert broken(f"x:{'y' * 45}:z", 20).split("\n") == ["x:", "y" * 20, "y" * 20, "yyyyy:z"]
    assert broken("y" * 40, 20) == f"{'y' * 20}\n{'y' * 20}"
    assert broken("", 20) == ""


async def test_at_a_terminal_lines_of_an_error_end_between_words(tmp_path: Path) -> None:
    async with keyboard("conversations", "list", "--store", "mysql://x", folder=tmp_path, COLUMNS="80") as terminal:
        await terminal.sees("DATABASE")
        async with asyncio.timeout(PATIENCE):
            assert await terminal.process.wait() == 1
    first, second = terminal.screen.splitlines()
    assert first == "dspy-bots: mysql: is no store; use memory://, sqlite:///FILE (three slashes,"
    assert second == "then the file) or postgresql://USER:PASSWORD@HOST/DATABASE"


def test_show(tmp_path: Path) -> None:
    fill(tmp_path)
    shown, machine, everything, timeline = run(
        tmp_path,
        conversations("show", SLACK),
        conversations("show", SLACK, "--json"),
        conversations("show", SLACK, "--all"),
        conversations("show", SLACK, "--all", "--json"),
    )
    assert shown.out.startswith(f"{SLACK}\n2 turns, 6 entries · begun 2024-01-01 00:01 UTC · last change ")
    assert "Turn 2  2024-01-01 00:02:00  Mx U2 (U2)  score 0.5\n" in shown.out
    assert "message  two [31m[b]x[/b] ü\n  reply    better\n" in shown.out
    assert "three" not in shown.out
    first, second = lines(machine)
    assert (first["inputs"], first["outputs"], first["stands"]) == ({"message": "one"}, {"reply": "one after 0"}, True)
    assert (second["author"], second["user"]) == ({"id": "U2", "name": "Mx U2"}, "slack:T1:U2")
    assert (second["outputs"], second["score"], second["agent_version"]) == ({"reply": "better"}, 0.5, "7")
    assert [line["kind"] for line in lines(timeline)] == ["turn", "turn", "turn", "score", "edit", "undo"]
    assert [line["stands"] for line in lines(timeline)[:3]] == [True, True, False]
    assert lines(timeline)[1]["outputs"] == {"reply": "two \x1b[31m[b]x[/b] ü after 1"}
    assert lines(timeline)[3]["turn_id"] == second["turn_id"]
    assert "turn 2 scored 0.5 by slack:T1:U2 (reaction): well said\n" in everything.out
    assert "Turn 3  2024-01-01 00:03:00  Mx U1 (U1)  taken back\n" in everything.out
    assert everything.out.endswith("1 turn taken back\n")
    assert "\x1b" not in shown.out + everything.out


def test_what_people_said_of_turns(tmp_path: Path) -> None:
    rate(tmp_path)
    fork = f"{SLACK}2"
    shown, machine, timeline, exported, deleted = run(
        tmp_path,
        conversations("show", fork),
        conversations("show", fork, "--json"),
        conversations("show", SLACK, "--all"),
        conversations("export", SLACK),
        conversations("show", DISCORD, "--all"),
    )
    assert "  turn 1: its message was deleted\n" in deleted.out
    assert "lunch" not in deleted.out.replace("lunch? after", "")  # which is the answer
    turns = shown.out.split("\nTurn ")[1:]
    assert [turn.splitlines()[0].partition(")  ")[2] for turn in turns[:4]] == ["score 0.5", "", "score 0", "score 1"]
    assert turns[4].splitlines()[0].endswith("  score 1  stopped")
    assert turns[0].splitlines()[-3:] == [
        "  slack:T1:U1 gave it 1 (reaction)",
        "  slack:T1:U2 gave it 0 (button): too [31mlong",
        "  slack:T1:U3 asked for another answer",
    ]
    assert "gave" not in turns[1]
    said = [
        {"score": 1.0, "by": "slack:T1:U1", "source": "reaction"},
        {"score": 0.0, "by": "slack:T1:U2", "text": "too \x1b[31mlong", "source": "button"},
        {"by": "slack:T1:U3", "signal": "retried"},
    ]
    for found in (lines(machine), [line for line in lines(exported) if line["kind"] == "turn"]):
        at = [each.pop("at") for each in found[0]["feedback"]]
        assert at == ["2024-01-01T00:05:00.000000Z"] * 3
        assert found[0]["feedback"] == said
        assert [turn["stopped"] for turn in found] == [None, None, None, None, "stopped"]
        assert [len(turn["feedback"]) for turn in found] == [3, 0, 1, 1, 1]
    assert [turn["score"] for turn in lines(machine)] == [0.5, None, 0.0, 1.0, 1.0]
    assert "  turn 1 retried by slack:T1:U3\n" in timeline.out
    assert "  turn 2 is scored no more by slack:T1:U1\n" in timeline.out


async def test_what_became_of_what_tools_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def delete(name: str) -> str:
        """Delete an account."""
        return f"{name} is deleted"

    patient = ask_first(delete)
    monkeypatch.setattr("dspy_session_chat.approval.seconds_of", lambda _: 0.05)
    hasty = ask_first(delete)

    class Deleter(dspy.Module):
        async def aforward(self, message: str) -> dspy.Prediction:
            tool = dspy.Tool(hasty if message == "cy" else patient)
            return dspy.Prediction(reply=await tool.acall(name=message))

    async with ChatTester(sessionify(Deleter(), copy_mode="none"), store=f"sqlite:///{tmp_path}/bot.db") as chat:
        for name, label, why in (("ann", "Approve", ""), ("bob", "Deny", "Not\nbob!")):
            asked = await chat.start(name)
            line = f"name: {name}"
            await chat.until(lambda line=line: any(line in each.text for each in chat.seen()))
            (question,) = [each for each in chat.seen() if line in each.text]
            await chat.press(label, question, text=why)
            await asked.reply()
        await chat.say("cy")
        (info,) = await chat.conversations.list()
    (shown,) = await asyncio.to_thread(run, tmp_path, conversations("show", info.key, "--all"))
    said = [line.partition("  ")[2] for line in shown.out.splitlines()]
    # Sorted: people may be quicker than the note that they were asked.
    assert sorted(line for line in said if line.startswith(("asked", "approved", "denied", "nobody"))) == [
        "approved by tester::ann",
        "asked whether it may use delete",
        "asked whether it may use delete",
        "asked whether it may use delete",
        "denied by tester::ann: Not bob!",
        "nobody decided in time",
    ]


def test_rated_conversations_become_a_training_set(tmp_path: Path) -> None:
    rate(tmp_path)
    half, others, best, none = run(
        tmp_path,
        conversations("examples", "--agent", ""),
        conversations("examples", "--agent", "support"),
        conversations("examples", "--min-score", "1", "--output", "trainset.jsonl"),
        conversations("examples", "--prefix", "teams:", "--output", "none.jsonl"),
    )
    first, last = lines(half)  # each turn once, though a fork holds it as well
    assert (first["inputs"], first["outputs"], first["score"]) == ({"message": "one"}, {"reply": "one after 0"}, 0.5)
    assert [each.get("signal") for each in first["feedback"]] == [None, None, "retried"]
    assert last["history"]["messages"][0] == {"message": "one", "reply": "one after 0"}
    assert others.out == ""
    assert best.out == "trainset.jsonl: 1 example of 3 conversations\n"
    [example] = read_examples(tmp_path / "trainset.jsonl")
    assert example.inputs().keys() == ["message", "history"]
    assert (example.message, example.labels().toDict()) == ("four", {"reply": "better"})
    assert len(example.history.messages) == 3
    assert none.out == "none.jsonl: 0 examples of 0 conversations\n"
    assert none.complaint.startswith("nothing was found in 0 conversations that people rated 0.5 or better")
    assert (tmp_path / "none.jsonl").read_text(encoding="utf-8") == ""


def test_export_loses_nothing(tmp_path: Path) -> None:
    fill(tmp_path)
    stdout, one, to_file = run(
        tmp_path,
        conversations("export"),
        conversations("export", DISCORD),
        conversations("export", "--prefix", "slack:", "--output", "out.jsonl"),
    )
    written = lines(stdout)
    with sqlite3.connect(tmp_path / "bot.db") as db:
        rows = db.execute(
            "SELECT c.key, number, kind, body, at, author, about, previous FROM entries e "
            "JOIN conversations c ON c.id = e.conversation ORDER BY c.updated_at DESC, number"
        ).fetchall()
        marks = {key: json.loads(text) for key, text in db.execute("SELECT key, marks FROM conversations")}
    names = ("key", "number", "kind", "body", "at", "author", "about", "previous")
    assert [tuple(line[name] for name in names) for line in written] == [
        (*row[:3], json.loads(row[3]), *row[4:]) for row in rows
    ]
    found: dict[str, dict[str, int]] = {}
    for line in written:
        found.setdefault(line["key"], {}).update(dict.fromkeys(line["marks"], line["number"]))
    assert found == marks
    assert {line["key"] for line in lines(one)} == {DISCORD}
    assert to_file == Result(0, "out.jsonl: 6 entries of 1 conversation\n", "")
    text = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line) for line in text.splitlines()] == [line for line in written if line["key"] == SLACK]


def test_an_export_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "out.jsonl").write_text("old", encoding="utf-8")
    with sqlite3.connect(tmp_path / "bot.db") as db:  # bytes that are no UTF-8: SQLite cannot read them as text
        db.execute("UPDATE entries SET body = CAST(x'ff' AS TEXT) WHERE number = 5")
    [result] = run(tmp_path, conversations("export", "--output", "out.jsonl"))
    assert result.code == 1
    assert result.complaint
    assert sorted(path.name for path in tmp_path.iterdir() if "out" in path.name) == ["out.jsonl"]
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == "old"


def test_what_is_no_json_is_exported_as_it_is(tmp_path: Path) -> None:
    fill(tmp_path)
    with sqlite3.connect(tmp_path / "bot.db") as db:
        db.execute("UPDATE entries SET body = 'sealed1:key:AAAA' WHERE number = 0")
    exported, shown, listed, table = run(
        tmp_path,
        *(conversations("export", DISCORD), conversations("show", DISCORD)),
        *(conversations("list", "--json"), conversations("list")),
    )
    assert [(line["body"], line["text"]) for line in lines(exported)] == [(None, "sealed1:key:AAAA")]
    assert shown.code == 1
    assert "is encrypted: set STORE_KEYS" in shown.complaint
    assert [each["turns"] for each in lines(listed)] == [None, 2]
    assert table.out.endswith("?: encrypted, and counted where STORE_KEYS are set; or damaged\n")


def test_forget(tmp_path: Path) -> None:
    fill(tmp_path)
    refused, user, shown, nobody, key, listed = run(
        tmp_path,
        conversations("forget", SLACK, said="n\n"),
        conversations("forget", "--user", "slack:T1:U2", "--yes"),
        conversations("show", SLACK, "--all", "--json"),
        conversations("forget", "--user", "slack:T1:U2", "--yes"),
        conversations("forget", DISCORD, said="y\n"),
        conversations("list", "--json"),
    )
    assert (refused.code, refused.out, refused.complaint) == (1, "", "nothing was deleted (--yes does not ask)")
    assert (user.code, user.out, user.err) == (0, "1 conversation changed.\n", "")
    kinds = ["turn", "forgotten", "turn", "forgotten", "forgotten", "undo", "forgotten"]
    assert [line["kind"] for line in lines(shown)] == kinds
    assert nobody.out.startswith("Nothing of that was kept. Users are named as ")
    assert (key.code, key.out) == (0, "1 conversation changed.\n")
    assert [(each["key"], each["turns"]) for each in lines(listed)] == [(SLACK, 1)]


def test_forget_what_is_old(tmp_path: Path) -> None:
    fill(tmp_path)
    none, some, left = run(
        tmp_path,
        conversations("forget", "--before", "2024-01-01T00:01", "--yes"),
        conversations("forget", "--before", "2024-01-01 01:03:30+01:00", "--yes"),
        conversations("list", "--json"),
    )
    assert none.out == "Nothing of that was kept.\n"
    assert some.out == "1 conversation changed.\n"
    assert [each["key"] for each in lines(left)] == [DISCORD]


MISTAKES = {
    ("list", "--store", "sqlite:///none.db"): (1, r"no such file: none.db"),
    ("list", "--store", "memory://"): (1, "memory:// ends with the process"),
    ("list", "--store", "mysql://x"): (1, "is no store"),
    ("list", "--store", "sqlite:///text.db"): (1, "text.db"),
    ("lsit",): (2, "No such command 'lsit'"),
    ("show",): (2, "Missing argument 'KEY'"),
    ("show", "discord:1:3"): (1, f"there is no conversation 'discord:1:3': did you mean {DISCORD}?"),
    ("export", "x"): (1, "there is no conversation 'x'"),
    ("export", DISCORD, "--prefix", "slack:"): (2, "not both"),
    ("export", "--output", "no/where.jsonl"): (1, "cannot write no/where.jsonl: No such file or directory"),
    ("export", "--output", "."): (1, "cannot write .: it is no file"),
    ("export", "--output", "/dev/null"): (1, "cannot write /dev/null: it is no file"),
    ("forget", "x", "--yes"): (1, "there is no conversation 'x'"),
    ("forget",): (2, "say what to forget: a KEY, --user, or --before"),
    ("forget", DISCORD, "--user", "slack:T1:U1"): (2, "say what to forget"),
    ("forget", "--user", "U1", "--yes"): (2, "'U1' is no user: write PLATFORM:WORKSPACE:ID"),
    ("forget", "--before", "yesterday", "--yes"): (1, "'yesterday' is no time: write how long ago it was"),
    ("forget", "--before", "9d"): (1, "nothing was deleted"),
}


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[tuple[str, ...], Result]]:
    folder = tmp_path_factory.mktemp("mistakes")
    fill(folder)
    (folder / "text.db").write_text("no database at all, " * 100, encoding="utf-8")
    results = run_lines([conversations(*arguments) for arguments in MISTAKES], folder)
    return folder, dict(zip(MISTAKES, results, strict=True))


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_what_is_wrong_is_one_line(
    mistakes: tuple[Path, dict[tuple[str, ...], Result]], arguments: tuple[str, ...]
) -> None:
    folder, results = mistakes
    code, said = MISTAKES[arguments]
    assert results[arguments].code == code
    assert said in results[arguments].complaint
    assert sorted(path.name for path in folder.glob("*") if "bot.db" not in path.name) == ["text.db"]


async def test_beside_a_bot_that_runs(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    async with writer.chats:
        await writer.fill()
        listed = await dspy_bots("conversations", "list", "--json", folder=tmp_path)
        assert [each["key"] for each in lines(listed)] == [DISCORD, SLACK]
        await writer.take(DISCORD, "again", "discord::123")
        shown = await dspy_bots("conversations", "show", DISCORD, "--json", folder=tmp_path)
        assert [line["outputs"]["reply"] for line in lines(shown)] == ["hi after 0", "again after 1"]
        forgotten = await dspy_bots("conversations", "forget", "--user", "discord::123", "--yes", folder=tmp_path)
        assert (forgotten.code, forgotten.out) == (0, "1 conversation changed.\n")
        assert (await writer.take(SLACK, "and here")).outputs == {"reply": "and here after 2"}
        exported = await dspy_bots("conversations", "export", folder=tmp_path)
        assert "again" not in exported.out
        assert len(lines(exported)) == 7 + 3


def test_an_export_through_a_link(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "link.jsonl").symlink_to("out.jsonl")
    [result] = run(tmp_path, conversations("export", DISCORD, "--output", "link.jsonl"))
    assert result.code == 0
    assert (tmp_path / "link.jsonl").is_symlink()
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8").count("\n") == 1


async def test_a_reader_that_has_enough(tmp_path: Path) -> None:
    """``export | head -1``: no traceback."""
    writer = Writer(tmp_path)
    async with writer.chats:
        for number in range(50):
            await writer.take(f"slack:T1:{number}", "word " * 2000)
    child = await asyncio.create_subprocess_shell(
        f"{PROGRAM} conversations export | head -c 10", cwd=tmp_path, env=environment(), stderr=-1, stdout=-1
    )
    out, err = await child.communicate()
    assert (out, err) == (b'{"key":"sl', b"")


def test_what_is_encrypted_is_shown_to_whoever_has_the_keys(tmp_path: Path) -> None:
    keys = f"{SealingKey.generate().reveal()},{SealingKey.generate().reveal()}"

    class Echo(dspy.Module):
        async def aforward(self, message: str) -> dspy.Prediction:
            return dspy.Prediction(reply=message)

    async def talk() -> None:
        async with Conversations(Echo(), f"sqlite:///{tmp_path}/bot.db", keys=keys.split(",")) as chats:
            await chats.acall(SLACK, message="swordfish")

    asyncio.run(talk())
    assert b"swordfish" not in (tmp_path / "bot.db").read_bytes()
    [shown] = run_lines([Line(["conversations", "show", SLACK], variables={"STORE_KEYS": keys})], tmp_path)
    assert "swordfish" in shown.out
    [refused] = run_lines([Line(["conversations", "show", SLACK], variables={"STORE_KEYS": "nonsense"})], tmp_path)
    assert refused.code == 1
    assert "nonsense" not in refused.complaint
