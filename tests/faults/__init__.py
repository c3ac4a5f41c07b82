"""What must hold whatever happens: real processes, real kills, and an audit that reads the store and the logs.

``harness`` is a town where people talk to bots, each a process of its own (``process``, forked by ``zygote``) that can
be held at any point (``wire``). ``audit`` compares what was acknowledged, answered, committed and delivered.
``test_soak`` does all of it at random. ``test_loops`` needs no process: a store that raises what none should.

| inject | must hold; the test that says so |
|---|---|
| kill -9 before the acknowledgement | not acknowledged before it is kept; comes again and runs once; |
| | ``test_kills``: ``test_killed_before_the_acknowledgement_…`` |
| kill -9 between LM reply and commit | runs again, one committed turn; |
| | ``test_kills``: ``test_killed_between_the_models_reply_and_the_commit_…`` |
| kill -9 after commit, before the post | posted later, once; |
| | ``test_kills``: ``test_killed_after_the_commit_and_before_the_post_…`` |
| kill -9 after the post, before its confirmation | the same post comes again; |
| | ``test_kills``: ``test_killed_after_the_post_and_before_it_is_confirmed_…`` |
| kill -9 after the webhook's POST, before its ack | the same id comes again, in order; |
| | ``test_kills``: ``test_killed_after_the_webhooks_post_and_before_its_answer_…`` |
| sink down for an hour (5xx, hang, slow drip) | chat as quick as ever, others unaffected, drains in order; |
| | ``test_sinks_down``: ``test_a_sink_that_is_down_for_an_hour_…`` |
| 410 | disabled, no other is; |
| | ``tests/webhook/test_durable.py``: ``test_gone_disables_it_and_no_other`` |
| 429 and Retry-After | deferred, in every conversation; |
| | ``tests/webhook/test_durable.py``: ``test_retry_after_holds_every_conversation`` |
| 302 | failed, not followed; |
| | ``tests/webhook/test_durable.py``: ``test_retries_carry_the_same_id_and_body_and_keep_the_order`` |
| database locked past its timeout | bounded retry, then no ack; no LM call is paid twice; |
| | ``test_store_down``: ``test_a_locked_database_…``, ``test_a_database_that_stays_locked_…`` |
| the same event twice, at once and late | one turn, one reply; |
| | ``test_workers``: ``test_the_same_event_to_two_workers_…`` |
| events out of order | by the time they were sent, and what is committed stays; |
| | ``test_workers``: ``test_events_out_of_order_…`` |
| clocks ten minutes fast and slow | exclusion holds; |
| | ``test_workers``: ``test_clocks_ten_minutes_fast_and_slow_…`` |
| | Refusing what is signed for another time is a platform's, before a bot hears of it. None here has to: Slack's |
| | socket and Discord's gateway are connections of our own, whose events carry no signature. |
| LM timeout | conversation free, user told, error recorded; |
| | ``test_turns``: ``test_a_model_that_times_out_…`` |
| cancelled mid-stream | no lock leaked, nothing recorded; |
| | ``test_turns``: ``test_cancelled_at_any_point_of_a_turn_…[…-model-True]`` |
| | ``tests/conversation/test_conversations.py``: ``test_a_stream_that_is_left_early_…`` |
| cancelled mid-transaction | all or nothing, and the next process goes on; |
| | ``test_turns``: ``test_cancelled_at_any_point_of_a_turn_…`` |
| | ``dspy_session.testing.StoreContract``: ``test_a_cancelled_writer_leaves_all_or_nothing`` |
| disk full | not acked, rolled back, recovers; |
| | ``test_store_down``: ``test_a_full_disk_…``; where none may be mounted, |
| | ``tests/stores/test_sqlite.py``: ``test_a_file_that_may_not_grow_is_explained_and_recovers`` |
| two workers, one conversation | no gaps, fences rise; |
| | ``test_workers``: ``test_two_workers_share_a_conversation_…`` |
| holder stopped past its lease, then continued | changes nothing, posts nothing stale; |
| | ``test_workers``: ``test_who_was_stopped_past_its_lease_…``, ``test_who_was_stopped_before_the_post_…`` |
| PostgreSQL killed | no acked turn lost, reconnects; |
| | ``test_store_down``: ``test_a_postgres_that_is_killed_…``, ``test_a_message_that_comes_while_postgres_is_away_…``, |
| | ``test_a_postgres_that_stays_away_…``; |
| | ``tests/stores/test_postgres_faults.py``: ``test_a_commit_of_which_nobody_knows_what_became_…`` |
| webhook key rotated mid-retry | both signatures verify; |
| | ``test_sinks_down``: ``test_keys_that_are_rotated_between_two_attempts_…`` |
| forget-me during a turn | nothing in any table; |
| | ``test_turns``: ``test_who_is_forgotten_during_a_turn_…``, |
| | ``test_growing``: ``test_who_is_forgotten_while_an_answer_grows_…`` |
| kill -9 while an answer grows | the same messages are edited to the whole; |
| | ``test_growing``: ``test_killed_while_an_answer_grows_…`` |
| holder stopped while an answer grows, then continued | writes over nothing; |
| | ``test_growing``: ``test_who_lost_a_conversation_while_an_answer_grew_…`` |
| conversation lost before the store knows of a message that shows an answer | that one says it is begun anew; |
| | ``test_growing``: ``test_who_lost_a_conversation_before_a_message_was_written_down_…`` |
| kill -9 while several messages are answered in one | what shows a part of it shows the answer, to whichever of them; |
| | ``test_growing``: ``test_what_showed_a_message_…``, ``test_what_showed_several_messages_…`` |
| kill -9 between a stop and its post | posted later, once; |
| | ``test_growing``: ``test_killed_between_a_stop_and_its_post_…`` |
| stop at another process | heard within two seconds; |
| | ``test_growing``: ``test_a_stop_that_reaches_another_process_…`` |
| kill -9 at the commit of merged messages | each answered by one turn; |
| | ``test_growing``: ``test_killed_at_the_commit_of_messages_that_were_merged_…`` |
| kill -9 at the commit of a retry or an edit | the old answer stands or the new one, sinks hear both in order; |
| | ``test_growing``: ``test_killed_at_the_commit_of_an_answer_that_takes_anothers_place_…`` |
| kill -9 while people are asked; approval elsewhere | the question stands; the tool runs once, and again where nobody |
| | knows any more that it ran; ``test_growing``: ``test_killed_while_people_are_asked_…``, |
| | ``test_an_approval_that_reaches_another_process_…`` |
| kill -9 between a denial and the answer | who denied and why is known; ``test_growing``: |
| | ``test_killed_before_the_answer_is_kept_…`` |
| turned away, or a command, at another process | told once; in order; |
| | ``test_growing``: ``test_whoever_is_turned_away_on_another_process_…`` |
| two things at the same moment, in one process | ``tests/chat/test_same_moment.py`` |
"""
