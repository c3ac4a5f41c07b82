"""Where a webhook may post: the public internet over TLS, or this machine where that was asked for by name.

Checking a URL, or what its host name resolves to, is not enough: the name may resolve to something else a moment
later, and numeric hosts have many spellings. So the address is checked once more when its socket is made, which is
the address that is then connected to.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass, field

from aiohttp import AddrInfoType
from yarl import URL

from dspy_session.errors import ConfigurationError

_GLOBAL_UNICAST_V6 = ipaddress.ip_network("2000::/3")
"""What is handed out so far; all that wraps an IPv4 address (mapped, NAT64) lies outside, but for the next two."""

_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "2002::/16",  # 6to4: wraps any IPv4 address, private ones too; "global" before Python 3.13
        "2001::/23",  # Teredo and its like; "global" in part
        "3fff::/20",  # documentation since 2024, unknown to older Pythons
        "192.0.0.0/24",  # protocol assignments, a cloud's metadata among them; "global" before Python 3.11.10
        "192.88.99.0/24",  # relays into 6to4
        "168.63.129.16/32",  # Azure's host agent: a public number that only ever leads into the host
    )
)

_HOW_TO_ALLOW = "pass allow_loopback=True if it is meant to post to this machine"


def is_public(address: str) -> bool:
    """Whether ``address``, an IPv4 or IPv6 number, belongs to a host on the public internet and to nothing else."""
    number = ipaddress.ip_address(address)
    if number.version == 6 and number not in _GLOBAL_UNICAST_V6:
        return False
    return number.is_global and not number.is_multicast and not any(number in network for network in _NOT_PUBLIC)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The URL that a webhook posts to, and which addresses it may turn out to have.

    Args:
        url: Where to post. Its path and query may be secrets, so they are never printed: ``origin`` is.
        loopback: True when the host names this machine: then its address must be a loopback one, else a public one.
    """

    url: URL = field(repr=False)
    loopback: bool

    @classmethod
    def parse(cls, url: str, *, allow_loopback: bool = False) -> Endpoint:
        """The endpoint at ``url``.

        Args:
            url: An ``https`` URL without user and password; ``http`` will do for this machine.
            allow_loopback: Whether the host may be this machine: ``localhost``, ``127.0.0.1`` or ``[::1]``.

        Raises:
            ConfigurationError: Nothing may be posted there. The message never holds the path or the query.
        """
        target = _parse_url(url)
        host = (target.host or "").rstrip(".")
        loopback = _names_loopback(host)
        endpoint = cls(target.with_fragment(None), loopback)
        if target.user is not None or target.password is not None:
            raise ConfigurationError(
                f"the webhook's URL ({endpoint.origin}) must not hold a user or password: the signature does their work"
            )
        if loopback and not allow_loopback:
            raise ConfigurationError(f"the webhook's URL is on this machine ({endpoint.origin}): {_HOW_TO_ALLOW}")
        if target.scheme != "https" and not (target.scheme == "http" and loopback):
            raise ConfigurationError(f"the webhook's URL must begin with https://, not {target.scheme}:// ({host})")
        if not loopback and _is_number(host) and not is_public(host):
            raise ConfigurationError(f"the webhook's URL must lead to a public address, {host} is none")
        return endpoint

    @property
    def origin(self) -> str:
        """Scheme, host and port: what may be shown."""
        return str(self.url.origin())

    def admits(self, address: str) -> bool:
        """Whether ``address``, a number, may be connected to."""
        return ipaddress.ip_address(address).is_loopback if self.loopback else is_public(address)

    def open_socket(self, addr_info: AddrInfoType) -> socket.socket:
        """A socket for ``addr_info``, for ``aiohttp.TCPConnector(socket_factory=…)``.

        Raises:
            OSError: The address is not one that the endpoint may have.
        """
        family, kind, protocol, _, sockaddr = addr_info
        address = str(sockaddr[0])
        if not self.admits(address):
            wanted = "a loopback" if self.loopback else "a public"
            raise PermissionError(errno.EACCES, f"refused to connect to {address}, which is not {wanted} address")
        return socket.socket(family=family, type=kind, proto=protocol)


def _parse_url(url: object) -> URL:
    expected = "the webhook's URL must look like https://example.com/turns"
    if not isinstance(url, str) or not url:
        raise ConfigurationError(f"{expected}: there is none")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ConfigurationError(f"{expected}: it holds white space or control characters")
    try:
        target = URL(url)
    except ValueError:
        raise ConfigurationError(f"{expected}: it cannot be read as a URL") from None
    if not target.absolute or not target.raw_host:
        raise ConfigurationError(f"{expected}: it has no host")
    if not _is_number(target.raw_host) and not all(
        0 < len(label) < 64 for label in target.raw_host.removesuffix(".").split(".")
    ):
        raise ConfigurationError(f"{expected}: its host is no host name")
    return target


def _names_loopback(host: str) -> bool:
    if _is_number(host):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
