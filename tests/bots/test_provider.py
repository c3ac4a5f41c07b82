"""Which models' names DSPy can do something with."""

from __future__ import annotations

import sys

import dspy.lm15
import pytest
from dspy.lm15 import AccessPolicy, OpenAIChatCompat, ProviderDefinition

from dspy_session_bots.model import PROVIDERS
from dspy_session_bots.provider import has_provider


@pytest.mark.parametrize(
    "name",
    [
        *PROVIDERS.values(),
        "gpt-5.4-mini",  # of OpenAI's, as everybody knows
        "ollama_chat/llama3",
        "azure/my-deployment",
        "bedrock/anthropic.claude-v2",
        "huggingface/my-org/my-model",
        "amazon.nova-pro-v1:0",  # a plain name that LiteLLM alone knows
        "github_copilot/gpt-4o",  # LiteLLM would sign in there
    ],
)
def test_names_with_a_provider(name: str) -> None:
    assert has_provider(name)


@pytest.mark.parametrize("name", ["foo", "x/y", "opnai/gpt-5.4-mini", "my-org/my-model", "mistral", "/gpt-5.4-mini"])
def test_names_without_one(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert not has_provider(name)
    assert capfd.readouterr() == ("", "")


def test_providers_that_the_agents_file_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litellm.custom_provider_map", [{"provider": "homemade", "custom_handler": None}])
    assert has_provider("homemade/model")
    access = AccessPolicy(provider="neighbour", base_url="http://127.0.0.1:1/v1")
    assert not has_provider("neighbour/model")
    dspy.lm15.register_provider(ProviderDefinition.chat(access, compat=OpenAIChatCompat()))
    try:
        assert has_provider("neighbour/model")
    finally:
        dspy.lm15.unregister_provider("neighbour")


def test_without_litellm_nobody_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litellm", None)
    assert has_provider("x/y")
