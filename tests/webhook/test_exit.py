"""A program that calls a session and ends: its turns are posted on the way out."""

from __future__ import annotations

import asyncio
import sys

from yarl import URL

from tests.loopback.receiver import SECRET, Hang, Reply

PROGRAM = """
import sys
from dspy_session.turn import Turn
from dspy_session_webhook import Webhook

webhook = Webhook(sys.argv[1], sys.argv[2], allow_loopback=True, timeout=1.5)
webhook(None, Turn(0, {"question": "who?"}, {"answer": "me"}, id="first"))
webhook(None, Turn(1, {"question": "who else?"}, {"answer": "nobody"}, id="second"))
raise RuntimeError("the program fails")
"""


async def run_program(url):
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, url, SECRET, stderr=asyncio.subprocess.PIPE
    )
    _, said = await program.communicate()
    return program.returncode, said.decode()


async def test_the_last_turns_of_a_program_are_posted_also_when_it_fails(receiver):
    """By name: looking ``localhost`` up is what a pool of threads would refuse to do by then."""
    code, said = await run_program(str(URL(receiver.url).with_host("localhost")))
    assert [(delivery.turn_id, delivery.verified) for delivery in receiver.deliveries] == [
        ("first", True),
        ("second", True),
    ]
    assert code == 1
    assert said.endswith("RuntimeError: the program fails\n")


async def test_an_endpoint_that_hangs_does_not_keep_a_program_from_ending(receiver):
    receiver.behave(Hang())
    receiver.always(Reply(500))
    code, said = await run_program(receiver.url)
    assert code == 1
    assert "timed out (attempt 1 of 10" in said
    assert said.endswith("closed with 2 turns undelivered\n")
