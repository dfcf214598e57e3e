"""The state machine of payments: what leads where, and that nothing else does."""

from collections import defaultdict
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.payments.lifecycle import (
    EVENT_NAMES,
    FINAL,
    NEW,
    STATUSES,
    TRANSITIONS,
    Step,
    event_type,
    status_after,
)
from schemas.bank_events import BANK_EVENTS
from schemas.errors import InvalidState
from tests.documents import ROOT, rows

_STEPS: tuple[Step, ...] = get_args(Step)
_PAGE = "docs/payments.md"


def _after() -> dict[str, set[str]]:
    leads: dict[str, set[str]] = defaultdict(set)
    for (before, _), after in TRANSITIONS.items():
        leads[before].add(after)
    return leads


def test_every_status_is_reached() -> None:
    """From the beginning steps lead to each status."""
    leads = _after()
    reached, front = {NEW}, [NEW]
    while front:
        following = leads[front.pop()] - reached
        reached |= following
        front += following
    assert reached == {NEW, *STATUSES}


def test_every_status_can_end() -> None:
    """From each status steps lead to a final one, from which none leads away."""
    leads = _after()
    assert {"voided", "expired", "failed", "refunded", "reversed"} == FINAL
    ends = set(FINAL)
    while True:
        more = {status for status in STATUSES if leads[status] & ends} - ends
        if not more:
            break
        ends |= more
    assert ends == set(STATUSES)


@given(st.sampled_from((NEW, *STATUSES)), st.sampled_from(_STEPS))
def test_only_the_transitions_of_the_table_happen(status: str, step: Step) -> None:
    """A step that the table does not have for a status is refused."""
    known = TRANSITIONS.get((status, step))
    if known is None:
        with pytest.raises(InvalidState) as refused:
            status_after("pay-1", status, step)
        assert status in refused.value.message
    else:
        assert status_after("pay-1", status, step) == known


def test_every_step_is_taken_and_told() -> None:
    """Each step is in the table, and its event is one that the catalogue knows."""
    assert {step for _, step in TRANSITIONS} == set(_STEPS) == set(EVENT_NAMES)
    assert {event_type(step) for step in _STEPS} <= set(BANK_EVENTS)


def test_the_drawing_is_the_table() -> None:
    """The diagram of the page has exactly the transitions of the code."""
    drawn = {}
    for line in Path(ROOT, _PAGE).read_text(encoding="utf-8").splitlines():
        before, arrow, rest = line.strip().partition(" --> ")
        if arrow:
            after, _, step = rest.partition(" : ")
            drawn[before.replace("[*]", NEW), step] = after
    assert drawn == TRANSITIONS


def test_the_page_names_the_event_of_each_step() -> None:
    """The table of steps lists each of them with its event."""
    listed = {
        step.strip("`"): event.strip("`") for step, event, _ in rows(_PAGE, "The life of a payment")
    }
    assert listed == {step: event_type(step) for step in _STEPS}
