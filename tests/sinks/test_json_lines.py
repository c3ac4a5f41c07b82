from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import sys
from pathlib import Path

import jsonschema
import pytest

from dspy_session.conversation.envelope import TYPES, load_schema
from dspy_session.errors import ConfigurationError
from dspy_session.sinks import JsonLines, line_file
from dspy_session.stores.outgoing import Settlement
from tests.events import DETAILS, KEY, make_change, make_event, make_turn
from tests.sinks.batches import batch_of, numbered

DELIVERED = Settlement("delivered")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs" / "2026" / "turns.jsonl"


def lines(path):
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def numbers(path):
    return [line["data"]["turn_id"].removeprefix(f"{KEY}#") for line in lines(path)]


async def test_a_line_for_each_event_in_a_file_made_with_its_folders(path):
    sink = JsonLines(path)
    batch = batch_of(sink, make_event(), *(make_change(kind, event_id=kind) for kind in DETAILS))
    assert await sink.deliver(batch) == DELIVERED
    assert path.read_bytes().endswith(b"}\n")
    assert [line["type"] for line in lines(path)] == ["conversation.turn", *DETAILS]
    assert [line["id"] for line in lines(path)] == [each.id for each in batch.deliveries]
    assert len(lines(path)) == len(TYPES)
    for line in lines(path):
        jsonschema.Draft202012Validator(load_schema(line["type"])).validate(line)


async def test_what_is_said_over_several_lines_is_one_line(path):
    sink = JsonLines(path)
    await sink.deliver(batch_of(sink, make_event(turn=make_turn(text="one\ntwo\r\n\u2028three"))))
    assert lines(path)[0]["data"]["inputs"]["text"] == "one\ntwo\r\n\u2028three"


async def test_it_appends_and_other_conversations_too(path):
    path.parent.mkdir(parents=True)
    path.write_text('{"id":"of somebody else"}\n')
    sink = JsonLines(path)
    await sink.deliver(numbered(sink, 0, 1))
    await sink.deliver(batch_of(sink, make_event(key="web::1"), key="web::1"))
    assert [line["id"] for line in lines(path)][1:] == [
        *(each.id for each in numbered(sink, 0, 1).deliveries),
        "turn_web%3A%3A1%230",
    ]


async def test_nothing_is_written_twice_by_the_same_sink_or_after_a_restart(path):
    sink = JsonLines(path)
    await sink.deliver(numbered(sink, 0, 1))
    await sink.deliver(numbered(sink, 0, 1, attempt=2))
    await sink.deliver(numbered(sink, 1, 2))
    again = JsonLines(path)
    await again.deliver(numbered(again, 1, 2, 3))
    await sink.deliver(numbered(sink, 3, 4))
    assert numbers(path) == ["0", "1", "2", "3", "4"], "also when another one wrote to it meanwhile"


async def test_only_so_many_ids_are_remembered(path):
    sink = JsonLines(path, remembered=2, batch=2)
    for number in (0, 1, 2):
        await sink.deliver(numbered(sink, number))
    await sink.deliver(numbered(sink, 1, 2))
    await sink.deliver(numbered(sink, 0))
    assert numbers(path) == ["0", "1", "2", "0"]


async def test_ids_are_found_at_the_end_of_a_file_that_is_longer_than_what_is_read(path, monkeypatch):
    monkeypatch.setattr(line_file, "TAIL", 2_000)
    sink = JsonLines(path)
    await sink.deliver(numbered(sink, *range(50)))
    again = JsonLines(path)
    await again.deliver(numbered(again, 48, 49, 50))
    assert numbers(path) == [*map(str, range(51))]
    last = JsonLines(path)
    await last.deliver(numbered(last, *range(51)))
    assert numbers(path) == [*map(str, range(51))], "a batch that is larger than that is looked for all the same"


async def test_a_file_that_was_rotated_is_left_alone_and_a_new_one_begun(path):
    sink = JsonLines(path)
    await sink.deliver(numbered(sink, 0, 1))
    rotated = path.rename(path.with_suffix(".1"))
    await sink.deliver(numbered(sink, 2))
    assert (numbers(rotated), numbers(path)) == (["0", "1"], ["2"])


async def test_a_file_that_was_emptied_begins_anew(path):
    sink = JsonLines(path)
    await sink.deliver(numbered(sink, 0))
    path.write_bytes(b"")  # as logrotate's copytruncate does
    await sink.deliver(numbered(sink, 1))
    assert numbers(path) == ["1"]


@pytest.mark.parametrize("kept", [1, 40, -1])
async def test_a_line_that_a_crash_tore_spoils_no_other(path, kept):
    sink = JsonLines(path)
    await sink.deliver(numbered(sink, 0, 1))
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    path.write_bytes(whole[: start + kept] if kept > 0 else whole[:kept])
    again = JsonLines(path)
    await again.deliver(numbered(again, 1, 2))
    first, torn, *rest = path.read_bytes().split(b"\n")[:-1]
    assert json.loads(first)["id"].endswith("0")
    if kept > 0:
        assert torn == whole[start : start + kept], "it stays what it was, on a line of its own"
        assert [json.loads(line)["id"][-1] for line in rest] == ["1", "2"]
    else:
        assert [json.loads(line)["id"][-1] for line in (torn, *rest)] == ["1", "2"], "only its end was missing"


async def test_a_torn_line_is_not_taken_for_a_whole_one_later(path):
    """The repaired line holds the id as well; the one that counts is the whole one."""
    path.parent.mkdir(parents=True)
    sink = JsonLines(path)
    [delivery] = numbered(sink, 0).deliveries
    path.write_bytes(b'{"id":"' + delivery.id.encode() + b'","type":"conversation.tu\n')
    await sink.deliver(numbered(sink, 0))
    assert json.loads(path.read_bytes().split(b"\n")[1])["id"] == delivery.id


# --- what goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
async def test_a_full_disk_is_waited_for(path):
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/full")
    sink = JsonLines(path)
    settlements = [await sink.deliver(numbered(sink, 0, attempt=attempt)) for attempt in (1, 2, 3, 9, 5_000)]
    assert [settlement.delay for settlement in settlements] == [1, 2, 4, 60, 60]
    assert {settlement.outcome for settlement in settlements} == {"retry"}
    assert all(settlement.hold == settlement.delay for settlement in settlements), "all lanes lead to this file"
    assert settlements[0].reason == f"cannot write {path}: No space left on device"
    path.unlink()
    assert await sink.deliver(numbered(sink, 0)) == DELIVERED
    assert numbers(path) == ["0"]


async def test_what_a_full_disk_cut_off_is_taken_back(path, monkeypatch):
    sink = JsonLines(path)
    await sink.deliver(numbered(sink, 0))
    before, write = path.read_bytes(), os.write
    room = [7]

    def cramped(descriptor, text):
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, text[: room.pop()])

    monkeypatch.setattr(os, "write", cramped)
    assert (await sink.deliver(numbered(sink, 1, 2))).outcome == "retry"
    assert path.read_bytes() == before
    monkeypatch.undo()
    assert await sink.deliver(numbered(sink, 1, 2)) == DELIVERED
    assert numbers(path) == ["0", "1", "2"]


async def test_what_may_not_be_durable_is_not_said_to_be(path, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    sink = JsonLines(path)
    monkeypatch.setattr(os, "fsync", refuse)
    settlement = await sink.deliver(numbered(sink, 0))
    assert (settlement.outcome, settlement.reason) == ("retry", f"cannot write {path}: Input/output error")
    monkeypatch.undo()
    await sink.deliver(numbered(sink, 0))
    assert numbers(path) == ["0"]


async def test_a_folder_in_its_place_is_an_answer_too(path):
    path.mkdir(parents=True)
    sink = JsonLines(path)
    assert (await sink.deliver(numbered(sink, 0))).reason == f"cannot write {path}: Is a directory"


async def test_a_file_in_the_place_of_a_folder_is_an_answer_too(path):
    path.parent.parent.mkdir()
    path.parent.write_text("")
    sink = JsonLines(path)
    assert (await sink.deliver(numbered(sink, 0))).outcome == "retry"


async def test_a_cancelled_delivery_is_whole_or_not_there(path):
    sink = JsonLines(path)
    delivering = asyncio.create_task(sink.deliver(numbered(sink, *range(30))))
    await asyncio.sleep(0)
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)
    await sink.deliver(numbered(sink, *range(30)))
    assert numbers(path) == [*map(str, range(30))]


WRITER = """
import asyncio, sys
from dspy_session.sinks import JsonLines
from tests.sinks.batches import numbered

async def write():
    sink = JsonLines(sys.argv[1])
    for number in range(100_000):
        await sink.deliver(numbered(sink, number))
        print(number, flush=True)

asyncio.run(write())
"""


async def test_a_killed_process_has_written_all_that_it_said(path):
    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WRITER, str(path)), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    said = [await writer.stdout.readline() for _ in range(20)]
    writer.send_signal(signal.SIGKILL)
    said += (await writer.stdout.read()).split()
    await writer.wait()
    sink = JsonLines(path)
    last = int(said[-1])
    await sink.deliver(numbered(sink, last, last + 1))
    whole = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            whole.append(json.loads(line)["data"]["turn_id"].removeprefix(f"{KEY}#"))
        except ValueError:
            continue  # the line that was torn
    assert whole[: last + 2] == [*map(str, range(last + 2))]


# --- its name and options -----------------------------------------------------------------------------------------


def test_the_name_is_the_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert JsonLines("turns.jsonl").name == JsonLines(tmp_path / "turns.jsonl").name == f"file:{tmp_path}/turns.jsonl"
    assert JsonLines("turns.jsonl", name="turns").name == "turns"
    assert repr(JsonLines("turns.jsonl")) == f"JsonLines('{tmp_path}/turns.jsonl')"


async def test_only_what_was_chosen_is_written(path):
    sink = JsonLines(path, events=["conversation.turn"], fields=["question"], redact={"question"})
    await sink.deliver(batch_of(sink, make_event(), make_change()))
    [line] = lines(path)
    assert (line["data"]["inputs"], line["data"]["outputs"]) == ({"question": "[redacted]"}, {})


@pytest.mark.parametrize("option", ["batch", "remembered"])
def test_a_number_that_does_not_fit_is_refused(option):
    with pytest.raises(ConfigurationError, match=f"the {option} of JsonLines must be greater than 0, not 0"):
        JsonLines("turns.jsonl", **{option: 0})
