"""Files of an answer, and answers that are too long for messages."""

from __future__ import annotations

import pytest

from dspy_session.errors import PlatformUnavailableError
from dspy_session_chat.platform import Post
from dspy_session_chat.reply import Button, Reply, ReplyFile
from tests.loopback.slack import BOT_SCOPES, FakeSlack, refused, server_error
from tests.slack.talk import ANN, ANNS_DM, GENERAL, platform_of, running, some_inbound
from tests.slack.test_editing import paragraphs

PLOT = ReplyFile("plot.png", "image/png", b"\x89PNG" * 500)
NOTES = ReplyFile("notes.txt", "text/plain", b"nine")
GOOD = Button("good", "👍", about="t1")


async def post(slack: FakeSlack, reply: Reply, most: int = 8, *, channel: str = ANNS_DM, thread: str | None = None):
    return await platform_of(slack).post(Post(some_inbound(channel, thread), reply, most=most))


async def test_files_stand_beneath_the_words_in_the_same_thread(slack: FakeSlack):
    root = await slack.say("go", channel=GENERAL, user=ANN)

    posted = await post(slack, Reply("Here.", files=(PLOT, NOTES)), channel=GENERAL, thread=root["ts"])

    words, files = slack.shown(GENERAL, root["ts"])[1:]
    assert (words.text, files.text, files.files) == ("Here.", "", ("plot.png", "notes.txt"))
    assert posted.message_ids == (f"{GENERAL}:{words.ts}",)
    assert [file.data for file in slack.files.values()] == [PLOT.data, NOTES.data]


async def test_files_need_no_words(slack: FakeSlack):
    assert (await post(slack, Reply("", files=(PLOT,)))).message_ids == ()

    assert [each.files for each in slack.shown(ANNS_DM)] == [("plot.png",)]


async def test_an_empty_file_is_left_out(slack: FakeSlack):
    await post(slack, Reply("Here.", files=(ReplyFile("empty.txt", "text/plain", b""),)))

    assert [(each.text, each.files) for each in slack.shown(ANNS_DM)] == [("Here.", ())]


async def test_too_long_an_answer_goes_on_in_a_file(slack: FakeSlack):
    answer = paragraphs(6)

    posted = await post(slack, Reply(answer, buttons=(GOOD,)), most=2)

    first, second, file = slack.shown(ANNS_DM)
    assert (first.text[0], first.buttons) == ("0", ())
    assert (second.text[0], second.buttons) == ("1", ("👍",))
    assert (file.text, file.files) == ("_… The whole answer is in the file answer.md._", ("answer.md",))
    assert [each.data for each in slack.files.values()] == [answer.encode()]
    assert posted.message_ids == (f"{ANNS_DM}:{first.ts}", f"{ANNS_DM}:{second.ts}")


async def test_where_files_may_not_be_posted_it_goes_on_in_messages():
    async with FakeSlack(bot_scopes=BOT_SCOPES - {"files:write"}) as slack:
        posted = await post(slack, Reply(paragraphs(6), files=(PLOT,), buttons=(GOOD,)), most=2)

    shown = slack.shown(ANNS_DM)
    assert [each.text[0] for each in shown] == [str(number) for number in range(6)]
    assert shown[-1].text.endswith("\n\n_Could not be posted here: `plot.png`_")
    assert [each.buttons for each in shown] == [()] * 5 + [("👍",)]
    assert len(posted.message_ids) == 6


async def test_a_file_that_cannot_be_shown_is_said_and_its_words_are_posted(slack: FakeSlack):
    slack.fail("files.completeUploadExternal", refused("posting_to_channel_denied"))

    posted = await post(slack, Reply(paragraphs(3), files=(PLOT,)), most=2)

    assert [each.text[0] for each in slack.shown(ANNS_DM)[:3]] == ["0", "1", "2"]
    assert slack.shown(ANNS_DM)[3].text == "_Could not be posted here: `plot.png`_"
    assert len(posted.message_ids) == 4


@pytest.mark.parametrize(("step", "status"), [("files.getUploadURLExternal", 502), ("upload", 502), ("upload", 429)])
async def test_an_outage_comes_before_anything_is_posted(slack: FakeSlack, step: str, status: int):
    slack.fail(step, server_error(status), times=5)

    with pytest.raises(PlatformUnavailableError):
        await post(slack, Reply("Here.", files=(PLOT,)))

    assert slack.shown(ANNS_DM) == []


async def test_a_file_that_slack_will_not_have_is_said(slack: FakeSlack):
    slack.fail("upload", server_error(413))

    await post(slack, Reply("Here.", files=(PLOT,)))

    assert [each.text for each in slack.shown(ANNS_DM)] == ["Here.\n\n_Could not be posted here: `plot.png`_"]


async def test_a_private_answer_has_no_files_and_is_as_long_as_it_is(slack: FakeSlack):
    await slack.say("go", channel=GENERAL, user=ANN)

    await post(slack, Reply(paragraphs(3), files=(PLOT,), private=True), most=1, channel=GENERAL)

    assert {each.only_for for each in slack.posts} == {ANN}
    assert "_Could not be posted here: `plot.png`_" in str(slack.posts[-1].call.args["blocks"])
    assert len(slack.posts) == 3
    assert slack.files == {}


async def test_what_we_post_does_not_come_back_to_us(slack: FakeSlack):
    heard = []

    async def receive(event: object) -> None:
        heard.append(event)

    platform = platform_of(slack)
    async with running(platform, receive, slack):
        await platform.post(Post(some_inbound(), Reply("Here.", files=(PLOT,))))
        await slack.settled()

    assert len(slack.deliveries) == 2
    assert heard == []
