"""A program that calls a session and ends: its turns are posted on the way out."""

from __future__ import annotations

import asyncio
import sys

from yarl import URL

from tests.loopback.receiver import SECRET, Hang, open_receiver

PROGRAM = """
import os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "true"
import dspy
from dspy_session import sessionify
from dspy_session_webhook import Webhook

class Echo(dspy.Module):
    def forward(self, question):
        return dspy.Prediction(answer=question.upper())

session = sessionify(Echo(), on_turn=Webhook(sys.argv[1], sys.argv[2], allow_loopback=True, timeout=1.5))
session(question="first")
session(question="second")
raise RuntimeError("the program fails")
"""


async def run_program(url):
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, url, SECRET, stderr=asyncio.subprocess.PIPE
    )
    _, said = await program.communicate()
    return program.returncode, said.decode()


async def test_a_programs_last_turns_are_posted_on_the_way_out_but_do_not_hold_it_up(receiver):
    """Both in one test, since each starts a Python that imports DSPy."""
    async with open_receiver() as hanging:
        hanging.behave(Hang())
        # By name: looking ``localhost`` up is what asyncio's pool of threads refuses to do by then.
        url = str(URL(receiver.url).with_host("localhost"))
        (code, said), (hung_code, hung_said) = await asyncio.gather(run_program(url), run_program(hanging.url))

    assert [delivery.payload["data"]["outputs"]["answer"] for delivery in receiver.deliveries] == ["FIRST", "SECOND"]
    assert said.endswith("RuntimeError: the program fails\n")
    assert "timed out (attempt 1 of 10" in hung_said
    assert hung_said.endswith("closed with 2 turns undelivered\n")
    assert code == hung_code == 1, "how the program ended is left as it was"
