"""Every edge with what is kept, some thousand new inputs, and what hypothesis thinks of."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import InvalidField
from tests.fuzz.edge import answer_problem
from tests.fuzz.guided import NAMES
from tests.fuzz.letters import Letter, parse_letter
from tests.fuzz.mutation import INTEGERS, TEXTS, dump
from tests.fuzz.readers import READERS, check
from tests.fuzz.reading import ReadingTarget
from tests.fuzz.run import TARGETS, plan, try_chunk
from tests.fuzz.targets import read_corpus

# Some seconds in all; `make fuzz` runs a million.
_INPUTS = {
    "edge": 2_000, "frame": 600, "manifest": 300, "archive": 600, "signature": 1_000,
    "callback": 600,
}  # fmt: skip


@pytest.mark.parametrize("name", list(TARGETS))
def test_nothing_that_is_kept_breaks_an_edge(name: str) -> None:
    """Inputs that once were trouble, or look like it, are answered or refused."""
    corpus = read_corpus(name)
    assert corpus
    tally = TARGETS[name]().try_all(data for _, data in corpus)
    assert tally.findings == ()
    assert tally.inputs == len(corpus)


@pytest.mark.parametrize("name", list(TARGETS))
def test_inputs_that_are_nearly_right_break_nothing(name: str) -> None:
    """No crash, no hang, and no answer outside of the error table."""
    tally = try_chunk((name, _INPUTS[name], 20261125))
    assert [finding.what for finding in tally.findings] == []
    assert tally.inputs == _INPUTS[name]
    # They are nearly right: neither all taken nor, but for manifests and archives, all refused.
    assert 0 < tally.refused < tally.inputs or name in ("manifest", "archive")


_LEAVES = (
    st.none()
    | st.booleans()
    | st.sampled_from(INTEGERS)
    | st.floats()
    | st.sampled_from(TEXTS)
    | st.text()
)
_JSON = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=400)
@given(operation=st.binary(min_size=1, max_size=1), value=_JSON)
def test_any_json_is_taken_or_refused(operation: bytes, value: object) -> None:
    """Whatever JSON is the body of whatever operation, the edge has a code for it."""
    check("edge", operation + dump(value))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150)
@given(data=st.binary(max_size=700))
def test_any_bytes_are_taken_or_refused(name: str, data: bytes) -> None:
    """Whatever bytes come, the reader answers or refuses."""
    check(name, data)


def test_what_coverage_leads_has_a_reader() -> None:
    """The names of the guided fuzzing are those that there are readers for."""
    assert set(NAMES) == set(READERS)


# That it would find something.


def test_a_reader_that_crashes_is_found() -> None:
    """An exception that is no answer is a finding, with the input that caused it."""

    def read(data: bytes) -> object:
        if b"7" in data:
            raise KeyError(data)
        raise InvalidField("no")

    tally = ReadingTarget(read).try_all(iter((b"1", b"27", b"3")))
    assert [finding.data for finding in tally.findings] == [b"27"]
    assert (tally.inputs, tally.refused) == (3, 2)


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"[]", b"{}", b'{"ok":true}', b'{"ok":false}', b'{"ok":true,"result":1,"error":{}}',
        b'{"ok":false,"error":{"code":"oops","message":"x","retryable":false}}',
        b'{"ok":false,"error":{"code":"not_found","message":"x","retryable":true}}',
        b'{"ok":false,"error":{"code":"not_found","message":"","retryable":false}}',
        b'{"ok":false,"error":{"code":"internal","message":"x","retryable":false}}',
    ],
)  # fmt: skip
def test_an_answer_outside_of_the_table_is_found(answer: bytes) -> None:
    """Neither nonsense nor a fault of ours passes for an answer."""
    assert answer_problem(answer)


def test_an_answer_of_the_table_passes() -> None:
    """A result passes, and so does an error as the table has it."""
    assert answer_problem(b'{"ok":true,"result":{}}') == ""
    error = {"code": "not_found", "message": "x", "field": None, "retryable": False}
    assert answer_problem(orjson.dumps({"ok": False, "error": error})) == ""


# Its own parts.


@given(lines=st.lists(st.binary(min_size=1).filter(lambda one: b"\n" not in one)), body=st.binary())
def test_a_letter_is_what_was_written(lines: list[bytes], body: bytes) -> None:
    """Encoding and parsing agree."""
    letter = Letter("zh.v1.shop.account.get", tuple(lines), body)
    assert parse_letter(letter.encode()) == letter


def test_a_plan_has_all_inputs_and_is_the_same_again() -> None:
    """The shares come to what was asked for, and no two chunks of a target have one seed."""
    chunks = plan(1_000_000, (), seed=1)
    assert 1_000_000 <= sum(count for _, count, _ in chunks) <= 1_000_010
    assert chunks == plan(1_000_000, (), seed=1)
    assert len({(name, seed) for name, _, seed in chunks}) == len(chunks)
    assert {name for name, _, _ in plan(100, ("archive",), seed=1)} == {"archive"}
