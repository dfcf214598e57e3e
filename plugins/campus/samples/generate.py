"""Make the sample days: ``python -m plugins.campus.samples.generate --seed 20260302 --out DIR``.

``day.jsonl.gz`` has one message a line, in the order of arrival::

    {"at": 26003, "lane": "house-07", "subject_tail": "campus.buy_online", "phase": 1, "body": {…},
     "expect": "charged", "expect_result": {"own_minor": 650, …}}

``at`` is the second of the story, which begins at midnight of a Monday. A phase begins when all of
the one before is answered, and after the clock was moved on by what the manifest says of it: there
is the school as it is set up (``"setup": true``, phase 0; a house waits there for the school), a
day, and a day much later. Messages of one ``lane`` are sent one after another; the lanes of a phase
do not depend on each other. ``raw_hex`` stands in place of ``body`` for bytes that are not
JSON. The service chooses the ids of accounts, so the line that opens one ``defines`` a name such as
``@acct:hilltop:clearing``, and the sender puts the id in place of the name in later bodies; in the
same way ``@<name>.<field>``, or ``{@<name>.<field>}`` within a text, is a field of the result of
the line that ``keeps`` that name.

A read with ``"until": true`` is repeated until it is answered as expected: what a till or a family
sends reaches the student a moment after the answer. The last lines of a phase read every account of
the school and of its caterers, and every batch of bills, until they are as they must be.

``expect`` is the code of the error, or the status in the result of a campus operation, or ``ok``
for one of the bank itself; ``expect_result`` holds fields of the result.

``day.manifest.json`` says what must come of the whole. The same seed makes the same bytes.
"""

import argparse
import gzip
import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from plugins.campus.samples.afterwards import house_afterwards, office_afterwards
from plugins.campus.samples.cast import DAY_S, LATER_DAYS, Act, House, Ids, Message, make_houses
from plugins.campus.samples.class_three import ClassThree
from plugins.campus.samples.life import house_acts
from plugins.campus.samples.mischief import add_mischief, echoes
from plugins.campus.samples.model import Model, Verdict
from plugins.campus.samples.office import RELEASES, last_look, office_acts, strangers
from plugins.campus.samples.setting import house_setup, school_setup

__all__ = ("DAY_FILE", "HOUSES", "MANIFEST_FILE", "SEED", "Story", "generate", "main")

SEED = 20260302
HOUSES = 26
DAY_FILE = "day.jsonl.gz"
MANIFEST_FILE = "day.manifest.json"


class Story:
    """All messages with their outcomes, and the books at the end."""

    def __init__(self, seed: int, houses: int) -> None:
        # The story must be the same for everybody: its randomness is a seed's, not a secret.
        self._random = Random(seed)  # noqa: S311
        self._ids = Ids()
        self.model = Model()
        self.messages: list[Message] = []
        self.verdicts: list[Verdict] = []
        cast = make_houses(self._random, houses)
        three = ClassThree(self._ids, self._random.randbytes(32))
        setup = list(school_setup(self._ids))
        for house in cast:
            setup += house_setup(house, self._ids)
        self._tell(0, [*setup, *three.setup()])
        self._tell(1, [*_in_order([*self._day(cast), *three.day()]), *last_look()])
        self.model.advance()
        later = _in_order([*self._later(cast), *three.later()])
        self._tell(2, [*later, *last_look(later=True)])

    def _day(self, cast: list[House]) -> list[Act]:
        acts = []
        for house in cast:
            acts += self._troubled(house, house_acts(self._random, self._ids, house))
        office = list(office_acts(self._random, self._ids))
        office += [[echo] for act in office for one in act for echo in echoes(self._random, one)]
        ghosts = strangers(self._random, self._ids, 4 * len(cast))
        return [*acts, *office, *([message] for message in ghosts)]

    def _later(self, cast: list[House]) -> list[Act]:
        acts = []
        for house in cast:
            acts += self._troubled(house, house_afterwards(self._random, self._ids, house))
        return [*acts, *([message] for message in office_afterwards(self._ids, RELEASES))]

    def _troubled(self, house: House, acts: list[Act]) -> list[Act]:
        return add_mischief(self._random, self._ids, house, acts)

    def _tell(self, phase: int, messages: list[Message]) -> None:
        for message in messages:
            message.phase = phase
            message.at += DAY_S * LATER_DAYS * (phase == 2)
            self.messages.append(message)
            self.verdicts.append(self.model.handle(message))


def _in_order(acts: list[Act]) -> list[Message]:
    # Stable, so the order within a lane stays, and acts stay whole within theirs.
    return [message for act in sorted(acts, key=lambda act: act[0].at) for message in act]


def generate(*, seed: int, houses: int, out: Path) -> dict[str, Any]:
    """Write the story and its manifest into the folder ``out``; return the manifest."""
    story = Story(seed, houses)
    pairs = zip(story.messages, story.verdicts, strict=True)
    content = "".join(_line(message, verdict) for message, verdict in pairs).encode()
    manifest = {
        "name": f"a boarding school in the spring of 2026, seed {seed}, {houses} houses",
        "app": "campus",
        "content_sha256": hashlib.sha256(content).hexdigest(),
        "phases": [
            {"name": "School, people, accounts and bills", "advance_s": 0},
            {"name": "A Monday at the beginning of term", "advance_s": 0},
            {"name": f"{LATER_DAYS} days later", "advance_s": LATER_DAYS * DAY_S},
        ],
        **_totals(story),
    }
    out.mkdir(parents=True, exist_ok=True)
    with (
        (out / DAY_FILE).open("wb") as file,
        # No name and no time in the header, so that the bytes depend on the content alone.
        gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=9, mtime=0) as packed,
    ):
        packed.write(content)
    text = json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"
    (out / MANIFEST_FILE).write_text(text, encoding="utf-8")
    return manifest


def _line(message: Message, verdict: Verdict) -> str:
    line: dict[str, Any] = {
        "at": message.at,
        "lane": message.lane,
        "subject_tail": message.subject_tail,
        "phase": message.phase,
    }
    if message.setup:
        line["setup"] = True
    if message.until:
        line["until"] = True
    if message.defines is not None:
        line["defines"] = message.defines
    if message.keeps is not None:
        line["keeps"] = message.keeps
    if message.raw_hex is not None:
        line["raw_hex"] = message.raw_hex
    else:
        line["body"] = message.body
    line["expect"] = verdict.outcome
    # A read that is repeated waits for the status as well, where there is one.
    status = {"status": verdict.outcome} if message.until and verdict.outcome != "ok" else {}
    if status | verdict.result:
        line["expect_result"] = status | verdict.result
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"


def _totals(story: Story) -> dict[str, Any]:
    model = story.model
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for message, verdict in zip(story.messages, story.verdicts, strict=True):
        outcomes[message.subject_tail][verdict.outcome] += 1
    owed = {
        name: model.owed(student)
        for name, student in sorted(model.students.items())
        if student["debts"]
    }
    return {
        "messages": sum(not message.setup for message in story.messages),
        "setup_messages": sum(message.setup for message in story.messages),
        "outcomes": {tail: dict(sorted(outcomes[tail].items())) for tail in sorted(outcomes)},
        "students": len(model.students),
        "left": sum(student["left"] for student in model.students.values()),
        "sales": sum(len(student["sales"]) for student in model.students.values()),
        "bills": model.batches,
        "debts_minor": sum(owed.values()),
        "debts": owed,
        "balances": dict(sorted(model.balances.items())),
        "held": {name: held for name, held in sorted(model.held.items()) if held},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the day as the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m plugins.campus.samples.generate")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the day")
    parser.add_argument("--houses", type=int, default=HOUSES, help="number of houses (2 to 99)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder")
    options = parser.parse_args(arguments)
    manifest = generate(seed=options.seed, houses=options.houses, out=options.out)
    sys.stdout.write(f"{manifest['messages']} messages in {options.out / DAY_FILE}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
