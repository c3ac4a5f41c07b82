"""The proxy that the environment names, ``HTTPS_PROXY``, and where not to use it, ``NO_PROXY``."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from dspy_session import ConfigurationError

DISCORD = "discord.com"


def proxied() -> dict[str, Any]:
    """Options of ``discord.Client`` for it; Slack's client reads the environment by itself.

    Raises:
        ConfigurationError: It is not the address of a proxy that discord.py can use.
    """
    proxy = getproxies().get("https")
    if not proxy or proxy_bypass(DISCORD):
        return {}
    try:
        parts = urlsplit(proxy)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:  # it is not shown: there may be a password in it
        raise ConfigurationError(
            "HTTPS_PROXY is not the address of an HTTP proxy: it is like http://proxy.example:3128"
        )
    return {"proxy": proxy}
