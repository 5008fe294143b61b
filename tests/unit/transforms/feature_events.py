"""Random events of the feature contract: whole ones, ones that do not fit, and ones with unknown fields."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.unit.transforms.feature_contract import EVENT

_odd = st.sampled_from([None, "", 7, 2**64, True, "Anna said", [], ["x"], {}, {"a": 1}, "eu", 1.5])


def _or_odd(*fitting: Any) -> st.SearchStrategy[Any]:
    return st.one_of(st.sampled_from(fitting), st.sampled_from(fitting), _odd)


_mark = st.fixed_dictionaries({}, optional={"at": _or_odd(1, 99), "remark": _or_odd("r", "s"), "new": _odd})
_file = st.fixed_dictionaries(
    {},
    optional={
        "media": _or_odd("audio", "video", "other"),
        "body": _or_odd("b1", "b2"),
        "size": _or_odd(1, 99, 100),
        "key": _or_odd("k"),
        "owner": _or_odd("u-1", "u-2"),
        "marks": st.one_of(st.lists(st.one_of(_mark, _odd), max_size=3), _odd),
        "new": _odd,
    },
)
_who = st.fixed_dictionaries(
    {},
    optional={
        "user_id": _or_odd("u-1", "u-2", 5),
        "email": _or_odd("a@b.example", "c@d.example"),
        "join_id": _or_odd("j-1", "j-2"),
        "name": _or_odd("Anna"),
        "channel": _or_odd("app", "phone", "pigeon"),
        "is_host": _or_odd(True, False),
    },
)
_data = st.fixed_dictionaries(
    {},
    optional={
        "tenant_id": _or_odd("t-1", "t-2"),
        "room": _or_odd("m-1", "m-2"),
        "began": _or_odd("2026-03-01T10:00:00Z", "soon"),
        "region": _or_odd("eu", "uk", "mars"),
        "title": _or_odd("T"),
        "text": _or_odd("hello"),
        "notes": _or_odd({"deep": [1, {"x": None}]}),
        "passcode": _or_odd("p"),
        "token": _or_odd("tok"),
        "ip": _or_odd("203.0.113.9", "2001:db8:1:2::3", "no address"),
        "why": _or_odd("Anna. Reason: left", "Reason: fed up"),
        "count": _or_odd(0, 9, 10),
        "media": _or_odd("audio", "video"),
        "payload": _or_odd("bytes"),
        "friends": st.one_of(st.lists(st.sampled_from(["u-1", "u-2", 5, None]), max_size=3), _odd),
        "consent": st.one_of(
            _odd,
            st.fixed_dictionaries(
                {}, optional={"record_ids": _or_odd(["cr-1"], []), "refuses": _or_odd(True)}
            ),
        ),
        "who": st.one_of(_who, _who, _odd),
        "files": st.one_of(st.lists(st.one_of(_file, _file, _odd), max_size=3), _odd),
        "new": _odd,
    },
)


@st.composite
def blocks(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Events of one block, each with an id of its own."""
    made = []
    for number in range(draw(st.integers(1, 5))):
        event = {**EVENT, "id": f"e-{number}", "data": draw(st.one_of(_data, _data, _odd))}
        event["type"] = draw(st.sampled_from(["visit.came", "visit.went", "visit.noted"]))
        event |= draw(st.fixed_dictionaries({}, optional={"time": _odd, "new": _odd}))
        made.append(event)
    return made
