"""Dead letters: kept until the store has them, within a bound."""

import pytest

from kernel import dead_letter
from kernel.clock import ManualClock
from kernel.dead_letter import REASON_CHARACTERS_MAX
from tests.unit.kernel.harness import START, KeptLetters, RecordingSender, dead_letters, delivery

pytestmark = pytest.mark.anyio


async def test_letters_wait_for_a_store_that_is_away() -> None:
    """A failed flush keeps the letters; the next one stores each once, in order."""
    store, clock = KeptLetters(), ManualClock(START)
    letters = dead_letters(store, clock)
    store.away = True
    for text in "ab":
        letters.record(delivery(RecordingSender(), text), f"reason {text}")
    await letters.flush()
    assert (store.letters, letters.statistics().waiting) == ([], 2)
    store.away = False
    await letters.flush()
    await letters.flush()
    assert [letter.reason for letter in store.letters] == ["reason a", "reason b"]
    assert len({letter.dead_letter_id for letter in store.letters}) == 2
    assert letters.statistics().waiting == 0
    # With nothing to store the store is left in peace.
    assert store.calls == 2


async def test_letter_recorded_during_a_flush_is_kept() -> None:
    """What comes while the store writes is neither lost nor written twice."""
    clock = ManualClock(START)

    class Slow(KeptLetters):
        async def keep_dead_letters(self, letters: list[dead_letter.DeadLetter]) -> None:
            if not self.letters:
                box.record(delivery(RecordingSender()), "second")
            await super().keep_dead_letters(letters)

    store = Slow()
    box = dead_letters(store, clock)
    box.record(delivery(RecordingSender()), "first")
    await box.flush()
    assert box.statistics().waiting == 1
    await box.flush()
    assert [letter.reason for letter in store.letters] == ["first", "second"]


async def test_flood_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the oldest is dropped and counted as lost."""
    monkeypatch.setattr(dead_letter, "WAITING_MAX", 3)
    store = KeptLetters()
    letters = dead_letters(store, ManualClock(START))
    for number in range(5):
        letters.record(delivery(RecordingSender()), str(number))
    statistics = letters.statistics()
    assert (statistics.recorded, statistics.waiting, statistics.lost) == (5, 3, 2)
    await letters.flush()
    assert [letter.reason for letter in store.letters] == ["2", "3", "4"]


async def test_every_text_is_one_that_a_database_can_hold(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A poison message must not poison its own dead letter: no NUL, no half of a character."""
    store = KeptLetters()
    letters = dead_letters(store, ManualClock(START))
    bad = "a\0b\ud800c"
    letters.record(delivery(RecordingSender(), key=bad, type_=bad, kind=bad), bad)
    await letters.flush()
    (letter,) = store.letters
    # Nor the log.
    for text in (letter.reason, letter.key, letter.type, letter.kind, letter.app, caplog.text):
        assert "\0" not in text
        text.encode()


async def test_reason_is_cut_and_its_end_is_kept() -> None:
    """A long reason is cut to its bound; the error itself, which stands at the end, is kept."""
    store = KeptLetters()
    letters = dead_letters(store, ManualClock(START))
    letters.record(delivery(RecordingSender()), "File x\n" * 5_000 + "KeyError: 'the cause'")
    letters.record(delivery(RecordingSender()), "")
    await letters.flush()
    assert len(store.letters[0].reason) <= REASON_CHARACTERS_MAX
    assert store.letters[0].reason.endswith("KeyError: 'the cause'")
    assert store.letters[1].reason == ""
