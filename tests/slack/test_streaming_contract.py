"""What people can expect of answers while they are written holds also where Slack streams them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dspy_session_chat.testing.stage import Person, Where
from dspy_session_chat.testing.streaming_contract import StreamingContract
from tests.loopback.slack import FakeSlack
from tests.slack.stage import SlackStage
from tests.slack.talk import ANN, ANNS_DM


class ThreadStage(SlackStage):
    """Ann talks to the bot in a thread of her DM."""

    thread_ts = ""

    def direct(self, person: Person) -> Where:
        return Where(ANNS_DM, self.thread_ts)


class TestStreams:
    """Of the contract what a stream can show: unfinished Markdown is Slack's to finish."""

    test_early = StreamingContract.test_the_first_words_are_seen_early_and_the_last_view_is_the_whole
    test_stopped = StreamingContract.test_a_growing_answer_is_stopped_by_its_button_and_remembered_as_far_as_it_was
    test_interrupted = StreamingContract.test_a_growing_answer_is_interrupted_by_what_is_said
    test_long = StreamingContract.test_a_long_answer_grows_over_several_messages

    @pytest.fixture
    async def stage(self, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ThreadStage]:
        monkeypatch.setattr("dspy_session_slack.outbound.streaming.PACE", 0.05)
        stage = ThreadStage(slack, streams="everywhere")
        begun_before = {"type": "message", "user": ANN, "text": "hello"}
        stage.thread_ts = slack.workspace.write(slack.workspace.channels[ANNS_DM], begun_before)["ts"]
        yield stage
        assert slack.streams.running == {}
