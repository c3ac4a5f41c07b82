"""Files that people send."""

from __future__ import annotations

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from dspy_session.errors import PlatformError
from dspy_session_chat.inbound import Attachment
from dspy_session_chat.platform import CanFetch
from dspy_session_slack import Slack
from dspy_session_slack.inbound.fetching import downloader
from tests.loopback.slack import BOT_SCOPES, FakeSlack
from tests.slack.talk import ANN, ANNS_DM, Echo, echoing, platform_of, running


async def fetched(platform: Slack, attachment: Attachment) -> bytes:
    async with platform.fetch(attachment) as pieces:
        return b"".join([piece async for piece in pieces])


async def test_what_came_with_a_message_can_be_had(slack: FakeSlack):
    file = await slack.upload("plan.txt", b"nine to five" * 10_000)
    async with echoing(slack) as echo:
        await slack.say("look", channel=ANNS_DM, user=ANN, subtype="file_share", files=[file])
        await slack.next_post()
    (attachment,) = echo.received[0].attachments
    platform = platform_of(slack)

    assert isinstance(platform, CanFetch)
    assert attachment.size == 120_000
    assert await fetched(platform, attachment) == b"nine to five" * 10_000


async def test_in_a_shared_channel_slack_is_asked_for_the_files_once_they_are_wanted(slack: FakeSlack):
    file = await slack.upload("plan.txt", b"nine to five")
    withheld = {"mode": "file_access", "file_access": "check_file_info", "created": 0, "timestamp": 0, "user": ""}
    files = [{"id": each} | withheld for each in (file["id"], "F0GONE")]
    platform = platform_of(slack)
    echo = Echo(platform)
    async with running(platform, echo, slack):
        await slack.say("look", channel=ANNS_DM, user=ANN, subtype="file_share", files=files)
        await slack.next_post()
        (inbound,) = echo.received
        assert slack.called("files.info") == []
        there, gone = (await platform.named(inbound)).attachments

        assert (there.name, there.media_type, there.size) == ("plan.txt", "text/plain", 12)
        assert await fetched(platform, there) == b"nine to five"
        with pytest.raises(PlatformError, match="Slack does not show it to the bot"):
            await fetched(platform, gone)


async def test_with_another_token_there_is_a_page_to_sign_in_at_and_no_file(slack: FakeSlack):
    file = await slack.upload("plan.txt", b"nine")
    fetching = downloader(AsyncWebClient("xoxb-other", base_url=slack.base_url))

    with pytest.raises(PlatformError, match="the platform's own hosts"):
        async with fetching.fetch(Attachment("plan.txt", url=file["url_private"])):
            pytest.fail("a page was taken for a file")
    assert "download" in slack.reached


async def test_without_the_scope_the_reason_is_said():
    async with FakeSlack(bot_scopes=BOT_SCOPES - {"files:read"}) as slack:
        platform = platform_of(slack)
        async with running(platform, Echo(platform), slack):
            with pytest.raises(PlatformError, match="its token lacks files:read"):
                await fetched(
                    platform, Attachment("plan.txt", url=f"http://localhost{slack.address}/files-pri/F1/plan")
                )


@pytest.mark.parametrize(
    ("called", "served"),
    [
        ("https://slack.com/api/", "files.slack.com"),
        ("https://www.slack.com/api/", "files.slack.com"),
        ("https://slack-gov.com/api/", "files.slack-gov.com"),
    ],
)
async def test_the_token_goes_to_slacks_own_host_for_files_alone(called: str, served: str):
    fetching = downloader(AsyncWebClient("xoxb-secret", base_url=called))

    for url in (
        f"https://{served}.evil.example/F1",
        f"https://evil.example/{served}/F1",
        f"http://{served}/F1",
        f"https://x@{served}/F1",
        "https://localhost/F1",
        "https://127.0.0.1/F1",
    ):
        with pytest.raises(PlatformError, match="the platform's own hosts"):
            async with fetching.fetch(Attachment("plan", url=url)):
                pytest.fail(f"{url} was asked")
