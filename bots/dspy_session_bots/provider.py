"""Whether DSPy can tell from a model's name whom to ask, before anybody waits for an answer."""

from __future__ import annotations

import importlib
from typing import Any

from dspy.lm15 import LM15Error, LMRouter, RouterConfig, registered_providers


def has_provider(name: str) -> bool:
    """Whether DSPy knows the provider of the model that ``name`` names; nobody is asked, and no key is needed.

    True as well where LiteLLM, which knows most of them, is not installed: DSPy says so at the first message.
    """
    declared = tuple(provider.definition for provider in registered_providers())
    try:
        LMRouter(RouterConfig(env={}, providers=declared)).resolve_openai_chat(name)
    except LM15Error:
        return _known_to_litellm(name)  # only now: importing it takes seconds
    return True


def _known_to_litellm(name: str) -> bool:
    try:
        litellm: Any = importlib.import_module("litellm")
    except ImportError:
        return True
    provider, slash, _ = name.partition("/")
    declared = {custom["provider"] for custom in litellm.custom_provider_map}
    # Not left to get_llm_provider: it signs in to some of the providers that it finds.
    if slash and (provider in litellm.provider_list or provider in declared):
        return True
    litellm.suppress_debug_info = True  # DSPy does the same; else the list of all providers is printed
    try:
        litellm.get_llm_provider(name)
    except litellm.BadRequestError:
        return False
    return True
