from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session.errors import ConfigurationError
from dspy_session_webhook.address import Endpoint, is_public


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "192.0.1.1", "2606:4700:4700::1111", "2a00:1450::1"])
def test_public_addresses(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",  # a cloud's metadata
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",  # a cloud's host agent
        "169.254.169.254",  # most clouds' metadata
        "172.16.0.1",
        "192.0.0.192",  # a cloud's metadata
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:93.184.215.14",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",  # a cloud's metadata
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_everything_else_is_refused(address):
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_is_public_when_wrapped(number):
    packed = int(number)
    for wrapped in (
        packed,  # ::a.b.c.d
        0xFFFF << 32 | packed,  # mapped
        0x0064FF9B << 96 | packed,  # NAT64
        0x2002 << 112 | packed << 80,  # 6to4
    ):
        assert not is_public(str(ipaddress.IPv6Address(wrapped)))


@given(st.ip_addresses())
def test_stricter_than_python(number):
    kinds = ("private", "loopback", "link_local", "reserved", "multicast", "unspecified")
    if is_public(str(number)):
        assert number.is_global
        assert not any(getattr(number, f"is_{kind}") for kind in kinds)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://example.com/turns", "https://example.com"),
        ("HTTPS://Example.COM:8443/turns?token=abc#top", "https://example.com:8443"),
        ("https://bücher.example/", "https://xn--bcher-kva.example"),
        ("https://93.184.215.14/", "https://93.184.215.14"),
        ("https://[2606:4700:4700::1111]:444/", "https://[2606:4700:4700::1111]:444"),
        ("https://example.com./", "https://example.com."),
    ],
)
def test_an_endpoint_shows_its_origin_only(url, origin):
    endpoint = Endpoint.parse(url)
    assert endpoint.origin == origin
    assert not endpoint.loopback
    assert repr(endpoint) == "Endpoint(loopback=False)"


@pytest.mark.parametrize(
    "url",
    ["http://localhost:8000/x", "http://127.0.0.1/x", "http://127.1.2.3/", "http://[::1]:80/", "https://a.localhost/"],
)
def test_this_machine_must_be_asked_for(url):
    with pytest.raises(ConfigurationError, match="allow_loopback=True"):
        Endpoint.parse(url)
    assert Endpoint.parse(url, allow_loopback=True).loopback


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "there is none"),
        (None, "there is none"),
        ("example.com/way?q=hush", "has no host"),
        ("https:///way?q=hush", "has no host"),
        ("/way?q=hush", "has no host"),
        ("https://a..b/way?q=hush", "is no host name"),
        (f"https://{'a' * 64}.com/way?q=hush", "is no host name"),
        ("https://example.com:99999/way?q=hush", "cannot be read"),
        ("https://[::1/way?q=hush", "cannot be read"),
        ("https://example.com/way?q=hush\n", "white space or control"),
        ("https://exam ple.com/way?q=hush", "white space or control"),
        ("https://example.com/\x00way?q=hush", "white space or control"),
        ("http://example.com/way?q=hush", "must begin with https://, not http://"),
        ("ftp://example.com/way?q=hush", "must begin with https://, not ftp://"),
        ("https://me@example.com/way?q=hush", "user or password"),
        ("https://me:hush@example.com/way?q=hush", "user or password"),
        ("https://:hush@example.com/way?q=hush", "user or password"),
        ("https://10.0.0.1/way?q=hush", "10.0.0.1 is none"),
        ("https://169.254.169.254/way?q=hush", "169.254.169.254 is none"),
        ("https://[::ffff:10.0.0.1]/way?q=hush", "is none"),
        ("https://[fe80::1%25eth0]/way?q=hush", "is none"),
        ("https://0.0.0.0/way?q=hush", "0.0.0.0 is none"),
    ],
)
def test_a_bad_url_is_one_clear_line_without_path_query_or_password(url, complaint):
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        Endpoint.parse(url, allow_loopback=True)
    said = str(caught.value)
    assert "\n" not in said
    assert "hush" not in said
    assert "way" not in said
    assert caught.value.__cause__ is None


def addr_info(address, port=443):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))


def test_a_socket_is_made_for_a_public_address_only():
    endpoint = Endpoint.parse("https://example.com/")
    with endpoint.open_socket(addr_info("93.184.215.14")) as made:
        assert (made.family, made.type) == (socket.AF_INET, socket.SOCK_STREAM)
    for address in ("127.0.0.1", "10.0.0.1", "::1", "fe80::1%eth0"):
        with pytest.raises(PermissionError, match=f"refused to connect to {address}, which is not a public address"):
            endpoint.open_socket(addr_info(address))


def test_allowing_this_machine_allows_nothing_else():
    here = Endpoint.parse("http://localhost/", allow_loopback=True)
    here.open_socket(addr_info("127.0.0.1")).close()
    for address in ("93.184.215.14", "10.0.0.1", "::ffff:127.0.0.1"):
        with pytest.raises(PermissionError, match="not a loopback address"):
            here.open_socket(addr_info(address))


def test_a_public_name_must_not_turn_out_to_be_this_machine_even_where_this_machine_is_allowed():
    endpoint = Endpoint.parse("https://example.com/", allow_loopback=True)
    assert not endpoint.admits("127.0.0.1")
