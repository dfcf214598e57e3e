"""Any batches of chains and single changes over few ids, against a plain sequential model."""

from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel import request_memory
from schemas.change import Change, LinkedChanges
from tests.unit.stock_lab import OPENING, StockLab, chain_of_takes

# Time to shrink an example that fails; one that passes takes milliseconds.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

_ids = st.sampled_from(["r0", "r1", "r2", "r3", "r4"])
_moves = st.tuples(_ids, st.sampled_from("ab"), st.sampled_from([-20, 1, 40, 70]))
_requests = st.one_of(
    st.tuples(_moves), st.lists(_moves, min_size=1, max_size=3).map(lambda one: (None, *one))
)
_batches = st.lists(st.lists(_requests, min_size=1, max_size=6), max_size=5)


class _Model:
    """What a sequence of requests would do, one at a time."""

    def __init__(self) -> None:
        self.stock = dict.fromkeys("abc", OPENING)
        self.decided: dict[str, tuple[object, str]] = {}

    def decide(self, request: tuple[object, ...]) -> str:
        """Return what the caller hears: an answer, or a code."""
        is_chain = request[0] is None
        moves = [one for one in request if isinstance(one, tuple)]
        ids = [str(one[0]) for one in moves]
        if len(set(ids)) < len(ids):
            return "invalid_field"
        known = [self.decided.get(one) for one in ids]
        if any(known):
            if any(one is None or one[0] != request for one in known):
                return "conflict"
            assert known[0] is not None
            return known[0][1]
        stock = dict(self.stock)
        heard = "[" + ",".join(f'"{one}"' for one in ids) + "]" if is_chain else f'"{ids[0]}"'
        for _, name, quantity in moves:
            if stock[name] < quantity:
                heard = "insufficient_funds"
                break
            stock[name] -= quantity
        else:
            self.stock = stock
        self.decided |= dict.fromkeys(ids, (request, heard))
        return heard


def _sent(request: tuple[object, ...]) -> Change | LinkedChanges:
    chain = chain_of_takes(*(one for one in request if isinstance(one, tuple)))
    return chain if request[0] is None else chain.changes[0]


@settings(max_examples=100)
@given(
    cut=_batches,
    faults=st.lists(st.sampled_from(["", "", "", "lost", "unheard"]), max_size=8),
    remembered=st.sampled_from([6, 100_000]),
    lookups=st.sampled_from([0, 20]),
)
async def test_any_history_of_chains_is_the_models(
    cut: list[list[tuple[object, ...]]], faults: list[str], remembered: int, lookups: int
) -> None:
    """Chains and single changes in any batches, with lost commits, hear what they would alone."""
    with mock.patch.object(request_memory, "REMEMBERED_MAX", remembered):
        lab, model = StockLab(), _Model()
        await lab.started()
        lab.store.faults.extend(faults)
        for batch in cut:
            lab.journal._lookups_left = min(lab.journal._lookups_left, lookups)
            answers = await lab.decide(*(_sent(one) for one in batch))
            assert [answers[n] for n in range(len(batch))] == [model.decide(one) for one in batch]
            assert lab.stock() == model.stock
            lab.check()
        assert set(lab.outcomes()) == set(model.decided)
