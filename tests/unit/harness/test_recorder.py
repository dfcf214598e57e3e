"""The recorder: every request is in one book, and the books balance whatever happens."""

from hypothesis import given
from hypothesis import strategies as st

from loadtest.harness.invariants.multiset import sum_of
from loadtest.harness.model import NameSample, Sample, add_counts
from loadtest.harness.recorder import (
    CODES_MAX,
    NAMES_MAX,
    OTHER_NAME,
    Book,
    Outcome,
    Recorder,
)
from loadtest.harness.validity import check_flow

_KEY = b"k" * 16

# What can happen: a request of one of three names is sent or dropped, the n-th of those under way
# ends in one of five ways, a phase begins, a second is over.
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 2)),
        st.tuples(st.just("drop"), st.integers(0, 2)),
        st.tuples(st.just("finish"), st.integers(0, 40)),
        st.tuples(st.just("phase"), st.integers(0, 3)),
        st.tuples(st.just("take"), st.just(0)),
    ),
    max_size=120,
)


@given(_STEPS)
def test_the_flow_is_conserved_whatever_happens(steps: list[tuple[str, int]]) -> None:
    """Scheduled = sent + dropped and sent = the sum of outcomes, in all and in each phase."""
    recorder = Recorder(_KEY)
    recorder.begin_phase("0", measured=False)
    under_way: list[Book] = []
    samples: list[NameSample] = []
    sent_in: dict[str, int] = {}
    phase = "0"
    for what, number in steps:
        if what == "send":
            book = recorder.book(str(number))
            book.sent(10)
            under_way.append(book)
            sent_in[phase] = sent_in.get(phase, 0) + 1
        elif what == "drop":
            recorder.book(str(number)).dropped()
        elif what == "finish" and under_way:
            book = under_way.pop(number % len(under_way))
            outcome = Outcome(number % len(Outcome))
            book.finished(outcome, 20, 10, None if outcome is Outcome.OK else f"e{number}")
        elif what == "phase":
            phase = str(number)
            recorder.begin_phase(phase, measured=number > 0)
        elif what == "take":
            samples += recorder.take()
        so_far = add_counts(one.counts for one in (*samples,))
        assert so_far.scheduled == so_far.sent + so_far.dropped
        assert recorder.in_flight == len(under_way)
    for book in under_way:
        book.finished(Outcome.UNKNOWN, 20, 10, "interrupted")
    samples += recorder.take()
    assert recorder.take() == ()
    assert recorder.in_flight == 0
    assert check_flow(add_counts(one.counts for one in samples), recorder.in_flight).ok
    for name, sent in sent_in.items():
        counts = add_counts(one.counts for one in samples if one.phase == name)
        assert counts.sent == counts.finished == sent


def test_a_lost_request_is_noticed() -> None:
    """The check of the flow fails when one request has no outcome, or one is counted twice."""
    recorder = Recorder(_KEY)
    book = recorder.book("a")
    book.sent(1)
    book.sent(1)
    book.finished(Outcome.OK, 1, 1)
    (sample,) = recorder.take()
    assert not check_flow(sample.counts, recorder.in_flight).ok
    book.finished(Outcome.OK, 1, 1)
    book.finished(Outcome.OK, 1, 1)
    counts = add_counts((sample.counts, *(one.counts for one in recorder.take())))
    assert not check_flow(counts, recorder.in_flight).ok


def test_late_answers_stay_in_the_phase_they_should_have_started_in() -> None:
    """An answer that comes in the measured part to a request of the warm-up is not measured."""
    recorder = Recorder(_KEY)
    recorder.begin_phase("warm-up", measured=False)
    early = recorder.book("a")
    early.sent(0)
    recorder.take()
    recorder.begin_phase("main", measured=True)
    recorder.book("a").sent(0)
    early.finished(Outcome.OK, 5_000_000_000, 5_000_000_000)
    recorder.book("a").finished(Outcome.OK, 1_000_000, 1_000_000)
    by_phase = {one.phase: one for one in recorder.take()}
    assert by_phase["warm-up"].counts.ok == by_phase["main"].counts.ok == 1
    assert by_phase["main"].response.max_ms < 2
    assert (by_phase["warm-up"].measured, by_phase["main"].measured) == (False, True)


def test_what_times_are_recorded_of() -> None:
    """Answers and passed deadlines have times; being turned away and lost connections have none."""
    recorder = Recorder(_KEY)
    book = recorder.book("a")
    for outcome in Outcome:
        book.sent(0)
        book.finished(outcome, 1_000, 1_000)
    (sample,) = recorder.take()
    assert sample.response.count == sample.service.count == 3
    assert sample.lag.count == 5


def test_names_and_codes_are_bounded() -> None:
    """A scenario that makes up names or a service that makes up codes cannot fill the memory."""
    recorder = Recorder(_KEY)
    for number in range(NAMES_MAX + 50):
        book = recorder.book(f"name-{number}")
        book.sent(0)
        book.finished(Outcome.FAILED, 1, 1, f"code-{number}")
    book = recorder.book("name-0")
    for number in range(CODES_MAX + 50):
        book.sent(0)
        book.finished(Outcome.FAILED, 1, 1, f"code-{number}")
    samples = recorder.take()
    assert len(samples) == NAMES_MAX + 1
    assert next(one for one in samples if one.name == OTHER_NAME).counts.failed == 50
    assert len(next(one for one in samples if one.name == "name-0").counts.codes) == CODES_MAX + 1


@given(st.lists(st.integers(0, 1_000), unique=True, max_size=30), st.integers(0, 30))
def test_the_fingerprint_of_parts_is_that_of_the_whole(numbers: list[int], cut: int) -> None:
    """What is acknowledged adds up over seconds to the sum of all ids and amounts."""
    recorder = Recorder(_KEY)
    total = recorder.take_acknowledged()
    for position, number in enumerate(numbers):
        if position == cut:
            total += recorder.take_acknowledged()
        recorder.acknowledged(b"%d" % number, number)
    total += recorder.take_acknowledged()
    assert total == sum_of(_KEY, [(b"%d" % number, number) for number in numbers])


def test_a_sample_counts_all_its_names() -> None:
    """The counts of a sample are the sum over its names."""
    recorder = Recorder(_KEY)
    recorder.book("a").sent(0)
    recorder.book("b").dropped()
    sample = Sample(index=0, start_s=0, seconds=1, phase="", measured=True, names=recorder.take())
    counts = sample.counts()
    assert (counts.scheduled, counts.sent, counts.dropped, counts.in_flight) == (2, 1, 1, 1)
