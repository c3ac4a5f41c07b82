"""Encryption of single texts: what opens where, and what is said when it does not."""

import base64
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dspy_session.errors import ConfigurationError, StoreError
from dspy_session.stores.sealing import (
    Place,
    Sealer,
    SealingKey,
    What,
    bound_to,
    conversation_key,
    is_sealed,
    joined,
    key_id_of,
    parse_keys,
)

any_text = st.text(st.characters(exclude_categories=()))  # lone surrogates too
whats = st.sampled_from(get_args(What))
places = st.builds(Place, any_text, whats, any_text, any_text)
OLD, NEW = SealingKey("old", b"o" * 32), SealingKey("new", b"n" * 32)
PLACE = Place("slack:T:C", "entry", "3", "turn")


def sealer(*keys: SealingKey, conversation: str = PLACE.conversation) -> Sealer:
    return Sealer(keys or (OLD,), conversation)


def refused(seals: Sealer, sealed: str | bytes, place: Place = PLACE) -> str:
    with pytest.raises(StoreError) as caught:
        seals.open(sealed, place) if isinstance(sealed, str) else seals.open_bytes(sealed, place)
    assert type(caught.value) is StoreError
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(any_text, places)
def test_any_text_opens_as_it_was(text: str, place: Place) -> None:
    seals = Sealer([OLD], place.conversation)
    sealed = seals.seal(text, place)
    assert seals.open(sealed, place) == text
    assert is_sealed(sealed)
    assert sealed.isascii()
    assert sealed.isprintable()
    assert len(sealed) <= 4 / 3 * len(text.encode("utf-8", "surrogatepass")) + 54 + 1


@given(st.binary(), places)
def test_any_bytes_open_as_they_were(body: bytes, place: Place) -> None:
    seals = Sealer([OLD], place.conversation)
    sealed = seals.seal_bytes(body, place)
    assert seals.open_bytes(sealed, place) == body
    assert is_sealed(sealed)
    assert len(sealed) <= len(body) + 53


def test_800_characters_grow_by_less_than_two_fifths() -> None:
    assert len(Sealer([SealingKey.generate()], "k").seal("x" * 800, Place("k", "entry", "0"))) <= 1.4 * 800


@given(places, places)
def test_a_text_opens_in_its_own_place_alone(place: Place, other: Place) -> None:
    assume(place != other)
    sealed = Sealer([OLD], place.conversation).seal("secret", place)
    assert "was changed or moved" in refused(Sealer([OLD], other.conversation), sealed, other)


@pytest.mark.parametrize(
    "other",
    [
        Place("slack:T:D", "entry", "3", "turn"),
        Place("slack:T:C", "reply", "3", "turn"),
        Place("slack:T:C", "entry", "4", "turn"),
        Place("slack:T:C", "entry", "3", "undo"),
    ],
)
def test_every_part_of_the_place_counts(other: Place) -> None:
    # with one and the same cipher key, so that what is bound to the text is all that tells them apart
    sealed = sealer().seal("secret", PLACE)
    assert str(other) in refused(sealer(), sealed, other)


@given(st.lists(any_text), st.lists(any_text))
def test_different_lists_never_join_to_the_same_bytes(parts: list[str], others: list[str]) -> None:
    assert (joined(*parts) == joined(*others)) == (parts == others)


def test_joining_keeps_parts_apart() -> None:
    assert joined("ab", "c") != joined("a", "bc") != joined("abc") != joined("abc", "")
    assert joined("\ud83d\ude00") != joined("😀")  # two lone surrogates are no emoji


@given(any_text, any_text)
def test_each_conversation_has_a_key_of_its_own(conversation: str, other: str) -> None:
    first = conversation_key(OLD.secret, conversation)
    assert len(first) == 32
    assert (first == conversation_key(OLD.secret, other)) == (conversation == other)
    assert first not in (OLD.secret, conversation_key(NEW.secret, conversation))


def test_the_format_is_what_it_was() -> None:
    """Stores outlive versions: what this version wrote is read by all that follow."""
    sealed = "sealed1:old:AAECAwQFBgcICQoLK+lEHVAM1wKa1omzekcmGW1dx2gs4DpPu/Sh"
    assert sealer().open(sealed, PLACE) == "hällo, you"
    assert Sealer([OLD], PLACE.conversation, lambda count: bytes(range(count))).seal("hällo, you", PLACE) == sealed
    parts = [b"1", b"id", b"c", b"entry", b"k", b"n"]
    bound = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    assert bound_to(Place("c", "entry", "n", "k"), "id") == bound


def test_the_same_text_is_never_sealed_alike() -> None:
    assert len({sealer().seal("yes", PLACE) for _ in range(100)}) == 100


@given(st.data())
def test_a_changed_character_is_noticed(data: st.DataObject) -> None:
    sealed = sealer().seal("transfer 10 dollars", PLACE)
    position = data.draw(st.integers(0, len(sealed) - 2))  # the last one carries spare bits
    changed = sealed[:position] + data.draw(st.characters()) + sealed[position + 1 :]
    assume(changed != sealed)
    refused(sealer(), changed)


@given(st.integers(0, 70))
def test_a_text_that_was_cut_off_is_noticed(length: int) -> None:
    sealed, body = sealer().seal("transfer 10 dollars", PLACE), sealer().seal_bytes(b"transfer 10 dollars", PLACE)
    assume(length < min(len(sealed), len(body)))
    refused(sealer(), sealed[:length])
    refused(sealer(), body[:length])


@given(st.data())
def test_a_changed_byte_is_noticed(data: st.DataObject) -> None:
    body = bytearray(sealer().seal_bytes(b"transfer 10 dollars", PLACE))
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    refused(sealer(), bytes(body))


def test_the_first_key_seals_and_all_open() -> None:
    before = sealer(OLD).seal("hello", PLACE)
    after = sealer(NEW, OLD).seal("hello", PLACE)
    assert (key_id_of(before), key_id_of(after)) == ("old", "new")
    assert sealer(NEW, OLD).open(before, PLACE) == sealer(NEW).open(after, PLACE) == "hello"
    assert "sealed with the key 'old', which was not given" in refused(sealer(NEW), before)


def test_another_key_of_the_same_name_is_noticed() -> None:
    sealed = sealer(SealingKey("k", b"1" * 32)).seal("hello", PLACE)
    assert "another one of that name" in refused(sealer(SealingKey("k", b"2" * 32)), sealed)


@pytest.mark.parametrize("plain", ["", "{}", '{"text":"hi"}', "sealed", "sealed1:", "sealed1:a b:AAAA", "sealed:x:y"])
def test_plain_text_is_refused(plain: str) -> None:
    assert not is_sealed(plain)
    assert not is_sealed(plain.encode())
    assert key_id_of(plain) is None
    for message in (refused(sealer(), plain), refused(sealer(), plain.encode())):
        assert "entry '3' of conversation 'slack:T:C' is not encrypted" in message
        assert "forget the conversation" in message


def test_a_newer_version_is_recognised() -> None:
    assert is_sealed("sealed2:old:AAAA")
    assert "newer version" in refused(sealer(), "sealed2:old:AAAA")


def test_names_cannot_break_the_line() -> None:
    place = Place("a\nb", "message", "e\n1")
    assert "message 'e\\n1' of conversation 'a\\nb'" in refused(sealer(conversation="a\nb"), "{}", place)


# --- keys -------------------------------------------------------------------------------------------------------------


def test_a_new_key_is_read_back() -> None:
    key = SealingKey.generate()
    assert key == SealingKey.parse(key.reveal()) == SealingKey.parse(f" {key.reveal().rstrip('=')}\n")
    assert key != SealingKey.generate()
    assert SealingKey.generate(bytes) == SealingKey("000000", bytes(32))


def test_a_key_is_never_printed() -> None:
    key = SealingKey.generate()
    for shown in (repr(key), str(key), f"{key}", repr([key]), repr(sealer(key))):
        assert key.reveal().split(":")[1][:8] not in shown
        assert repr(key.secret)[2:8] not in shown


SECRET = base64.b64encode(b"s3cr3t" * 5 + b"!!").decode()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (SECRET, "has no colon"),
        ("", "needs a sealing key"),
        (",", "needs a sealing key"),
        (f":{SECRET}", "is an id of"),
        (f"a b:{SECRET}", "is an id of"),
        (f"{SECRET}:{SECRET}", "is an id of"),
        (f"{SECRET}:k", "is not base64"),
        (f"k:{SECRET}=", "is not base64"),
        (f"k:{SECRET[:-5]}", "holds 29 bytes"),
        (f"k:{SECRET}AAAA", "bytes"),
        (f"k:{SECRET},k:{SECRET}", "two sealing keys have the id 'k'"),
        ("k:grüße", "is not base64"),
        ([], "needs a sealing key"),
        ([f"k:{SECRET}", SealingKey("k", bytes(32))], "two sealing keys"),
    ],
)
def test_a_malformed_key_is_explained_and_not_shown(text: str | list[str], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        parse_keys(text)
    message = str(caught.value)
    assert "\n" not in message
    assert SECRET[:6] not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(("name", "secret"), [("", bytes(32)), ("x" * 17, bytes(32)), ("k\n", bytes(32)), ("k", b"")])
def test_a_key_made_by_hand_is_looked_at_too(name: str, secret: bytes) -> None:
    with pytest.raises(ConfigurationError, match="random bytes in base64"):
        SealingKey(name, secret)


def test_keys_are_given_in_many_ways() -> None:
    spelled = f"{NEW.reveal()}, {OLD.reveal()}"
    assert parse_keys(spelled) == parse_keys([NEW, OLD.reveal()]) == parse_keys([spelled]) == (NEW, OLD)
    assert parse_keys(OLD) == parse_keys(OLD.reveal()) == (OLD,)
