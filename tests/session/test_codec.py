"""Values to JSON and back: equal, or an error that names the field."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import enum
import functools
import json
import sys
import types
import uuid
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dspy
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_session import StateFileError, UnsupportedValueError
from dspy_session.codec import from_json, to_json


class Colour(enum.Enum):
    RED = "red"
    CRIMSON = "red"  # noqa: PIE796  # an alias
    POINT = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()
    BOTH = READ | WRITE


class Rights(enum.IntFlag):
    READ = 1
    WRITE = 2


class Place(pydantic.BaseModel):
    class Kind(enum.Enum):
        TOWN = 1

    name: str
    size: float = 1.5
    kinds: set[Kind] = set()


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    name: str


class Aliased(pydantic.BaseModel):
    name: str = pydantic.Field(alias="Name")
    other: int = pydantic.Field(validation_alias="Other", default=0)
    third: str | None = pydantic.Field(alias="THIRD", default=None)


class Secretive(pydantic.BaseModel):
    name: str
    _seen: list[int] = pydantic.PrivateAttr(default_factory=list)

    def see(self, number: int) -> None:
        self._seen.append(number)


class Picky(pydantic.BaseModel):
    """Its validator changes what it is given, as that of an image that is downloaded does."""

    model_config = pydantic.ConfigDict(frozen=True)
    url: str

    @pydantic.field_validator("url")
    @classmethod
    def fetch(cls, url: str) -> str:
        return f"fetched {url}"


class Listing(pydantic.RootModel[list[int]]):
    pass


@dataclasses.dataclass
class Point:
    x: int


def through_a_file(value: Any) -> Any:
    return from_json(json.loads(json.dumps(to_json(value), allow_nan=False)))


def same(one: Any, other: Any) -> bool:
    """Equal, of the same type all the way down, and NaN equal to NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(*keys) and same(one[keys[0]], other[keys[1]]) for keys in zip(one, other, strict=True)
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, pydantic.BaseModel):
        return same(one.__dict__, other.__dict__) and same(one.model_extra, other.model_extra)
    if isinstance(one, dspy.Example):
        return same(dict(one.items()), dict(other.items()))
    if isinstance(one, (float, complex, Decimal)):
        return repr(one) == repr(other)
    return bool(one == other)


# --- round trips


@functools.cache  # to make a strategy takes longer than to draw from it
def scalars(allow_nan: bool = True) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=allow_nan),
        st.text(st.characters()),  # lone surrogates too
        st.binary(),
        st.complex_numbers(allow_nan=False),
        st.decimals(allow_nan=False),
        st.dates(),
        st.datetimes(
            timezones=st.none() | st.sampled_from([datetime.UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")]),
            allow_imaginary=True,
        ),
        st.times(timezones=st.none() | st.just(datetime.timezone(datetime.timedelta(hours=5, minutes=30)))),
        st.timedeltas(),
        st.uuids(),
        st.sampled_from(
            [*Colour, *Level, *Access, *Rights, Access.READ | Access.WRITE, Access(0), Rights(3), Rights(0)]
        ),
    )


@functools.cache
def hashables() -> st.SearchStrategy[Any]:
    plain = scalars(allow_nan=False)
    return plain | st.tuples(plain, plain) | st.frozensets(plain, max_size=3)


@functools.cache
def values() -> st.SearchStrategy[Any]:
    return st.recursive(
        scalars(),
        lambda inner: st.one_of(
            st.lists(inner),
            st.tuples(inner, inner),
            st.sets(hashables()),
            st.frozensets(hashables()),
            st.dictionaries(st.text() | st.just("$type"), inner),
            st.dictionaries(hashables(), inner),
            inner.map(lambda extra: Open(name="n", more=extra)),
            inner.map(lambda answer: dspy.Prediction(answer=answer, score=0.5)),
        ),
        max_leaves=12,
    )


@given(values())
def test_every_kind_comes_back_equal_and_is_written_alike_each_time(value: Any) -> None:
    returned = through_a_file(value)
    assert same(returned, value)
    assert json.dumps(to_json(returned)) == json.dumps(to_json(value))


class Tool:
    calls = dspy.ToolCalls(
        tool_calls=[
            dspy.ToolCalls.ToolCall(name="search", args={"q": "Rome"}, id="call_1"),
            dspy.ToolCalls.ToolCall(name="finish", args={}),
        ]
    )


@pytest.mark.parametrize(
    "value",
    [
        {"$type": "tuple", "items": [1]},
        {"$type": None},
        {1: "int", "1": "str"},
        {(1, 2): {3}, None: frozenset({("a",)})},
        [float("nan"), float("inf"), -float("inf"), -0.0],
        "\ud800 lone, \x00 nul, é",
        10**5000,
        -(10**5000),
        datetime.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        datetime.datetime(2026, 10, 25, 2, 30, fold=1),  # noqa: DTZ001  # people use them
        datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1, seconds=1))),
        datetime.time(1, 2, 3, 4, tzinfo=ZoneInfo("Asia/Kolkata"), fold=1),
        Colour.CRIMSON,
        Colour.POINT,
        Place(name="Rome", kinds={Place.Kind.TOWN}),
        Place.model_construct(name=("not", "validated")),
        Open(name="a", more=Decimal(1), set={1}),
        Aliased(Name="n", Other=2),
        Aliased(Name="n"),
        Picky(url="https://example.com"),
        Listing([1, 2]),
        dspy.Image(url="https://example.com/cat.png"),
        dspy.Image(url="data:image/png;base64,iVBORw0KGgo="),
        dspy.Audio(data="AAAA", audio_format="wav"),
        dspy.File(file_data="data:text/plain;base64,AAAA", filename="a.txt"),
        dspy.History(messages=[{"question": "q", "when": datetime.date(2026, 1, 1)}]),
        Tool.calls,
        dspy.Reasoning(content="because"),
        dspy.Prediction(answer="a", base="b", confidence=(1, 2)),
        dspy.Example(question="q", answer="a").with_inputs("question"),
        dspy.Example(),
        [[[[[{"deep": [({"set": {1, 2}},)]}]]]]],
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_people_put_into_fields_comes_back_equal(value: Any) -> None:
    returned = through_a_file(value)
    assert same(returned, value)
    assert type(value) is int or repr(returned) == repr(value)


def test_models_come_back_whole() -> None:
    partly = through_a_file(Place(name="Rome"))
    assert partly.model_fields_set == {"name"}
    opened = through_a_file(Open(name="a", more=1))
    assert (opened.more, opened.model_extra) == (1, {"more": 1})
    secretive = Secretive(name="s")
    secretive.see(1)
    assert through_a_file(secretive) == secretive != Secretive(name="s")
    assert through_a_file(Tool.calls).tool_calls[0].id == "call_1"
    example = through_a_file(dspy.Example(question="q", answer="a").with_inputs("question"))
    assert set(example.inputs().keys()) == {"question"}
    assert through_a_file(Picky(url="u")).url == "fetched u"


# --- what cannot come back raises, and names the field


@dataclasses.dataclass
class Local:
    x: int


def cyclic() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


def nested(depth: int) -> list[Any]:
    deep: list[Any] = []
    for _ in range(depth):
        deep = [deep]
    return deep


class Text(str):
    __slots__ = ()


class Numbers(dict):  # type: ignore[type-arg]
    pass


def inside_a_function() -> Any:
    class Hidden(pydantic.BaseModel):
        x: int = 1

    return Hidden()


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Point(1),
        Fraction(1, 2),
        range(3),
        bytearray(b"x"),
        memoryview(b"x"),
        Text("a str that is more"),
        Numbers(a=1),
        lambda: None,
        int,
        sys,
        Path("a"),
        (number for number in ()),
        types.SimpleNamespace(a=1),
        inside_a_function(),
        enum.Enum("Made", "A B").A,  # type: ignore[attr-defined]
        Local(1),
        cyclic(),
        nested(100_000),
        ZoneInfo("Europe/Berlin"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_come_back_equal_raises_with_the_name_of_its_field(value: Any) -> None:
    with pytest.raises(UnsupportedValueError, match=r"^turn 3\.inputs\.files"):
        to_json({"text": "fine", "files": [value]}, "turn 3.inputs")
    with pytest.raises(UnsupportedValueError, match=r"^answer\.more"):
        to_json(Open(name="a", more=value), "answer")


class Homemade(datetime.tzinfo):
    """A zone whose clocks are set back, as dateutil and others write them."""

    def utcoffset(self, moment: datetime.datetime | None) -> datetime.timedelta:
        return datetime.timedelta(hours=1 if moment is not None and moment.fold else 2)

    def dst(self, moment: datetime.datetime | None) -> None:
        return None

    def tzname(self, moment: datetime.datetime | None) -> str:
        return "home"


def test_a_zone_that_cannot_be_named_is_refused_where_it_matters() -> None:
    with pytest.raises(
        UnsupportedValueError, match=r"^at holds a time whose zone cannot be saved .*zoneinfo\.ZoneInfo"
    ):
        to_json(datetime.datetime(2026, 7, 1, tzinfo=Homemade(), fold=1), "at")


def test_the_error_says_where_what_and_how_to_mend_it() -> None:
    with pytest.raises(UnsupportedValueError) as raised:
        to_json({"pages": [{"at": Fraction(1, 2)}]}, "outputs")
    assert str(raised.value) == (
        "outputs.pages[0].at holds a fractions.Fraction, which cannot be saved and read back equal: "
        "convert it, or leave the field out"
    )
    with pytest.raises(UnsupportedValueError, match="define it at the top of a module"):
        to_json(inside_a_function())


# --- what a file may hold that we did not write


@pytest.mark.parametrize(
    "data",
    [
        {"$type": "pickle", "value": "gASV"},
        {"$type": 7},
        {"$type": ["tuple"]},
        {"$type": "tuple"},
        {"$type": "tuple", "items": 3},
        {"$type": "set", "items": [[1]]},
        {"$type": "dict", "items": [1]},
        {"$type": "dict", "items": [[[1], 2]]},
        {"$type": "float", "value": "much"},
        {"$type": "float", "value": []},
        {"$type": "int", "value": "0xZZ"},
        {"$type": "int", "value": None},
        {"$type": "bytes", "value": "not base64!"},
        {"$type": "Decimal", "value": "x"},
        {"$type": "datetime", "value": "yesterday"},
        {"$type": "datetime", "value": "2026-01-01T00:00:00", "zone": "Mars/Olympus"},
        {"$type": "datetime", "value": "2026-01-01T00:00:00", "zone": "../../etc/passwd"},
        {"$type": "timedelta", "value": "1,2"},
        {"$type": "timedelta", "value": "999999999999,0,0"},
        {"$type": "UUID", "value": "1"},
        {"$type": "complex", "value": "i"},
        {"$type": "model"},
        {"$type": "model", "class": "tests.session.test_codec:Place", "fields": 1},
        {"$type": "model", "class": "tests.session.test_codec:Place", "fields": {}, "set": 3},
        {"$type": "model", "class": "tests.session.test_codec:Secretive", "fields": {}, "private": {"_other": 1}},
        {"$type": "model", "class": 5, "fields": {}},
        {"$type": "model", "class": "", "fields": {}},
        {"$type": "model", "class": "tests.session.test_codec", "fields": {}},
        {"$type": "model", "class": "tests.session.test_codec:Gone", "fields": {}},
        {"$type": "model", "class": "os:system", "fields": {"command": "true"}},
        {"$type": "model", "class": "subprocess:Popen", "fields": {"args": ["true"]}},
        {"$type": "model", "class": "builtins:eval", "fields": {}},
        {"$type": "model", "class": "builtins:type", "fields": {}},
        {"$type": "model", "class": "tests.session.test_codec:Place.__init__.__globals__", "fields": {}},
        {"$type": "model", "class": "tests.session.test_codec:Place.__class__", "fields": {}},
        {"$type": "model", "class": "this:s", "fields": {}},
        {"$type": "model", "class": "antigravity:webbrowser", "fields": {}},
        {"$type": "enum", "class": "tests.session.test_codec:Place", "name": "RED"},
        {"$type": "enum", "class": "tests.session.test_codec:Colour", "name": "GREEN"},
        {"$type": "enum", "class": "tests.session.test_codec:Colour", "name": ["RED"]},
        {"$type": "enum", "class": "tests.session.test_codec:Access", "value": "x"},
        {"$type": "Example", "fields": [1]},
        {"$type": "Prediction"},
    ],
    ids=json.dumps,
)
def test_hostile_and_damaged_values_are_refused_in_one_line(data: dict[str, Any]) -> None:
    before = set(sys.modules)
    with pytest.raises(StateFileError, match=r"^turn 0\.inputs\.x ") as raised:
        from_json({"x": data}, "turn 0.inputs")
    assert "\n" not in str(raised.value)
    assert set(sys.modules) == before, "reading a file imports nothing"


def test_reading_a_class_name_runs_no_code_of_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            pytest.fail(f"the module was asked for {name}")

    monkeypatch.setitem(sys.modules, "lazy_module", Lazy("lazy_module"))
    with pytest.raises(StateFileError, match="which lazy_module does not have"):
        from_json({"$type": "model", "class": "lazy_module:Anything", "fields": {}})


def test_a_class_that_has_not_been_imported_says_what_to_do() -> None:
    with pytest.raises(
        StateFileError, match=r"needs the class my_app\.models:Trip: import my_app\.models before loading"
    ):
        from_json({"$type": "model", "class": "my_app.models:Trip", "fields": {}}, "answer")


def test_unknown_types_speak_of_a_newer_version() -> None:
    with pytest.raises(StateFileError, match="unknown type 'vector'; it was written by a newer version, or damaged"):
        from_json([{"$type": "vector"}])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["$type", "items", "value"]), inner),
    max_leaves=10,
)
tagged = st.builds(
    lambda tag, rest: {**rest, "$type": tag},
    st.sampled_from(["tuple", "set", "dict", "enum", "model", "Example", "datetime", "int", "bytes", "float", "x"]),
    st.dictionaries(st.sampled_from(["items", "value", "class", "name", "fields", "set", "extra"]), json_values),
)


@given(json_values | tagged)
def test_whatever_a_file_holds_is_read_or_refused(data: Any) -> None:
    with contextlib.suppress(StateFileError):
        from_json(data)


def test_plain_json_is_written_as_it_is() -> None:
    plain = {"a": [1, 2.5, None, True, "x"], "b": {"c": {}}}
    assert to_json(plain) == plain
    assert to_json(uuid.UUID(int=1)) == {"$type": "UUID", "value": "00000000-0000-0000-0000-000000000001"}
