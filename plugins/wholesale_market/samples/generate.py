"""Make the sample week: ``python -m plugins.wholesale_market.samples.generate --out DIR``.

``day.jsonl.gz`` has one message a line, in the order of arrival::

    {"at": 7301, "phase": 1, "lane": "dongjiao-buyer-007",
     "subject_tail": "wholesale_market.weigh", "body": {…},
     "expect": "weighed", "expect_result": {"net_g": 412000}}

``at`` is the second of the story, which begins at midnight of a Monday in Asia/Shanghai. A phase
begins when all of the one before is answered, and after the clock was moved on by what the manifest
says of it; within a phase the clock may stand. Messages of one ``lane`` are sent one after another;
the lanes of a phase do not depend on each other. Lines with ``"setup": true`` are phase 0.

``raw_hex`` stands in place of ``body`` for bytes that are not JSON. The line that opens an account
``defines`` a name such as ``@acct:dongjiao-fees``, which stands for its id in later bodies. A read
with ``"until": true`` is repeated until it is answered as expected: what one part of the pack tells
another is on its way for a moment. ``expect`` is the code of the error, or the status in the result
of an operation of the pack, or ``ok`` for one of the bank; ``expect_result`` holds fields of it.

``day.manifest.json`` says what must come of the whole. The same seed makes the same bytes.
"""

import argparse
import gzip
import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

from plugins.wholesale_market.samples.afterwards import PHASES
from plugins.wholesale_market.samples.cast import (
    MARKETS,
    Cast,
    Message,
    Script,
    make_cast,
    setup_messages,
)
from plugins.wholesale_market.samples.mischief import add_mischief, strangers
from plugins.wholesale_market.samples.model import Model, Verdict
from plugins.wholesale_market.samples.trade import deal_lane

__all__ = ("DAY_FILE", "MANIFEST_FILE", "SEED", "STORY_BEGINS", "Story", "generate", "main")

SEED = 20260615
DAY_FILE = "day.jsonl.gz"
MANIFEST_FILE = "day.manifest.json"

# A Monday at half past two in the morning by the markets' clocks, when the last scale has weighed.
STORY_BEGINS = datetime(2026, 6, 15, 2, 30, tzinfo=timezone(timedelta(hours=8)))

_SETUP = "Markets, people and goods"
_TRADE = "The night's trade"


class Story:
    """All messages with their outcomes, and the books at the end."""

    def __init__(self, seed: int, size: float) -> None:
        # The story must be the same for everybody: its randomness is a seed's, not a secret.
        self.random = Random(seed)  # noqa: S311
        self.script = Script()
        self.model = Model(STORY_BEGINS)
        self.messages: list[Message] = []
        self.verdicts: list[Verdict] = []
        self.cast = make_cast(self.random, size)
        self._tell(list(setup_messages(self.script, self.cast)))
        self.script.phase = 1
        self._tell(list(self._trade(self.cast, size)))
        for phase in PHASES:
            self.script.phase += 1
            self.model.advance(phase.advance)
            self._tell(list(phase.write(self.random, self.script, self.cast, self.model)))

    def _trade(self, cast: Cast, size: float) -> Iterator[Message]:
        for buyer in cast.buyers:
            lane = deal_lane(self.random, self.script, cast, buyer)
            yield from add_mischief(self.random, self.script, buyer, lane)
        yield from strangers(self.random, self.script, int(60 * size))

    def _tell(self, messages: list[Message]) -> None:
        # Stable, so the order within a lane stays.
        for message in sorted(messages, key=lambda message: message.at):
            self.messages.append(message)
            self.verdicts.append(self.model.handle(message))

    def line(self, place: int) -> str:
        """Return a message as a line of the file."""
        message, verdict = self.messages[place], self.verdicts[place]
        line: dict[str, Any] = {
            "at": message.at,
            "phase": message.phase,
            "lane": message.lane,
            "subject_tail": message.subject_tail,
        }
        for mark in ("setup", "until"):
            if getattr(message, mark):
                line[mark] = True
        if message.defines is not None:
            line["defines"] = message.defines
        if message.raw_hex is not None:
            line["raw_hex"] = message.raw_hex
        else:
            line["body"] = message.body
        line["expect"] = verdict.outcome
        result = {"status": verdict.outcome} if message.until else {}
        if result | verdict.result:
            line["expect_result"] = result | verdict.result
        return json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"


def generate(*, seed: int, size: float, out: Path) -> dict[str, Any]:
    """Write the story and its manifest into the folder ``out``; return the manifest."""
    story = Story(seed, size)
    content = "".join(story.line(place) for place in range(len(story.messages))).encode()
    manifest = {
        "name": f"two wholesale markets from Monday to Tuesday week, seed {seed}",
        "app": "freshmarkets",
        "content_sha256": hashlib.sha256(content).hexdigest(),
        "begins": {"weekday": "Monday", "at": "02:30:00", "zone": "Asia/Shanghai"},
        "phases": [
            {"name": _SETUP, "advance_s": 0},
            {"name": _TRADE, "advance_s": 0},
            *(
                {"name": phase.name, "advance_s": int(phase.advance.total_seconds())}
                for phase in PHASES
            ),
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


def _totals(story: Story) -> dict[str, Any]:
    model = story.model
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for message, verdict in zip(story.messages, story.verdicts, strict=True):
        outcomes[message.subject_tail][verdict.outcome] += 1
    statuses = Counter(sheet["status"] for sheet in model.deals.sheets().values())
    return {
        "messages": sum(not message.setup for message in story.messages),
        "setup_messages": sum(message.setup for message in story.messages),
        "outcomes": {tail: dict(sorted(outcomes[tail].items())) for tail in sorted(outcomes)},
        "payments": model.bank.payments,
        "captures": model.bank.captures,
        "deals": dict(sorted(statuses.items())),
        "markets": {
            plan.market_id: {
                "fees_minor": model.bank.posted[f"@acct:{plan.market_id}-fees"],
                "advance_minor": model.bank.posted[f"@acct:{plan.market_id}-advance"],
                "interest_minor": model.bank.posted[f"@acct:{plan.market_id}-interest"],
                "arrears": model.credit.arrears(plan.market_id),
            }
            for plan in MARKETS
        },
        "balances": dict(sorted(model.bank.posted.items())),
        "held": {name: held for name, held in sorted(model.bank.held.items()) if held},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the story as the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m plugins.wholesale_market.samples.generate")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the story")
    parser.add_argument("--size", type=float, default=1.0, help="how many people there are")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder")
    options = parser.parse_args(arguments)
    manifest = generate(seed=options.seed, size=options.size, out=options.out)
    sys.stdout.write(f"{manifest['messages']} messages in {options.out / DAY_FILE}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
