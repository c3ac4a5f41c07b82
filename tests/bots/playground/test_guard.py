from __future__ import annotations

import pytest

from dspy_session_bots.playground.guard import own_hosts, refusal
from tests.bots.playground.page import serving

HOSTS = own_hosts(8765)
ORIGIN = "http://127.0.0.1:8765"
MESSAGES = "/api/threads/one/messages"


def headers(**changes: str | None) -> dict[str, str]:
    """Those that the page sends, with changes; None leaves one out."""
    sent = {"Host": "127.0.0.1:8765", "Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
    sent.update({name.replace("_", "-"): value for name, value in changes.items()})
    return {name: value for name, value in sent.items() if value is not None}


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LocalHost:8765", "[::1]:8765"])
def test_the_page_may_write(host: str):
    assert refusal("POST", MESSAGES, headers(Host=host, Origin=f"http://{host.lower()}"), HOSTS) is None


def test_a_link_from_elsewhere_leads_to_the_page():
    assert refusal("GET", "/", headers(Origin=None, Sec_Fetch_Site="cross-site"), HOSTS) is None


def test_a_program_may_read_and_deliver():
    plain = headers(Origin=None, Sec_Fetch_Site=None)
    assert refusal("GET", "/api/events", plain, HOSTS) is None
    assert refusal("POST", "/hooks/turns", plain, HOSTS) is None


@pytest.mark.parametrize(
    "host", ["evil.example:8765", "evil.example", "127.0.0.1", "127.0.0.1:80", "127.0.0.1.evil.example:8765", "", None]
)
@pytest.mark.parametrize("path", ["/", "/api/events", "/hooks/turns"])
def test_a_name_that_is_not_ours_is_refused(host: str | None, path: str):
    assert "is known as 127.0.0.1:8765" in str(refusal("GET", path, headers(Host=host, Origin=None), HOSTS))


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "https://127.0.0.1:8765", "http://127.0.0.1:9999", "http://localhost:8765"],
)
@pytest.mark.parametrize(("method", "path"), [("POST", MESSAGES), ("GET", "/api/events"), ("POST", "/hooks/turns")])
def test_another_page_is_refused(origin: str, method: str, path: str):
    assert "pages of other sites" in str(refusal(method, path, headers(Origin=origin), HOSTS))


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_browser_that_says_cross_site_is_refused(site: str):
    assert "pages of other sites" in str(
        refusal("GET", "/api/events", headers(Origin=None, Sec_Fetch_Site=site), HOSTS)
    )


def test_a_message_without_an_origin_is_refused():
    assert "header Origin: http://127.0.0.1:8765 is missing" in str(
        refusal("POST", MESSAGES, headers(Origin=None), HOSTS)
    )


def test_on_port_80_the_host_needs_no_port():
    assert {"127.0.0.1", "127.0.0.1:80"} <= own_hosts(80)
    assert "127.0.0.1" not in HOSTS


async def test_the_server_refuses_and_says_why():
    async with serving() as visitor:
        refused = {}
        for name, changed in {"host": {"Host": "evil.example"}, "origin": {"Origin": "http://evil.example"}}.items():
            refused[name] = await visitor.post(MESSAGES, headers=changed, json={"text": "Hello"})
        async with visitor.http.get("/", headers={"Host": "evil.example"}) as page:
            refused["page"] = page.status, await page.json()
        async with visitor.page() as page:
            whole = await page.whole()
    assert {name: status for name, (status, _) in refused.items()} == {"host": 403, "origin": 403, "page": 403}
    assert "pages of other sites" in refused["origin"][1]["error"]
    assert whole["thread"]["exchanges"] == []


async def test_every_answer_carries_the_security_headers():
    async with serving() as visitor:
        for path, status in {"/": 200, "/api/events?thread=one": 200, "/nowhere": 404, "/api/events": 400}.items():
            async with visitor.http.get(path) as response:
                assert response.status == status
                policy = response.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Referrer-Policy"] == "no-referrer"
                assert "Access-Control-Allow-Origin" not in response.headers
