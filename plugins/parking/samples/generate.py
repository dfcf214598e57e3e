"""Make the sample day: ``python -m plugins.parking.samples.generate --seed 20260615 --out DIR``.

``day.jsonl.gz`` has one message a line, in the order of arrival::

    {"at": 28805, "lane": "沪A12345", "subject_tail": "parking.enter", "body": {…},
     "expect": "entered", "expect_result": {"arrears_minor": 0}}

``at`` is the second of the day. Messages of one ``lane`` are sent one after another; lanes do not
depend on each other. Lines with ``"setup": true`` come first and are done before the day begins.
``raw_hex`` stands in place of ``body`` for bytes that are not JSON. A read with ``"until": true``
is repeated until it is answered as expected: timers and messages of the pack take a moment. The
service chooses the ids of accounts, so the line that opens one ``defines`` a name such as
``@acct:沪A12345``, and the sender puts the id in place of the name in later bodies. ``expect`` is
the code of the error, or the status in the result of a parking operation, or ``ok`` for one of the
bank itself; ``expect_result`` holds fields of the result.

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

from plugins.parking.samples.city import LOTS, Ids, Message, make_lanes, setup_messages
from plugins.parking.samples.mischief import add_mischief, strangers
from plugins.parking.samples.model import Model
from plugins.parking.samples.stories import STORY_ACCOUNTS, STORY_LOTS, stories, story_setup
from plugins.parking.samples.verdict import Verdict

__all__ = ("DAY_FILE", "MANIFEST_FILE", "SEED", "VEHICLES", "generate", "main")

SEED = 20260615
VEHICLES = 3775
# Of each story one for so many ordinary cars.
_VEHICLES_FOR_A_STORY = 250
DAY_FILE = "day.jsonl.gz"
MANIFEST_FILE = "day.manifest.json"


def generate(*, seed: int, vehicles: int, out: Path) -> dict[str, Any]:
    """Write the day and its manifest into the folder ``out``; return the manifest."""
    # The day must be the same for everybody, so its randomness is a seed's, not a secret.
    random = Random(seed)  # noqa: S311
    messages = _make_messages(random, vehicles)
    model = Model()
    verdicts = [model.handle(message) for message in messages]
    pairs = zip(messages, verdicts, strict=True)
    content = "".join(_line(message, verdict) for message, verdict in pairs).encode()
    manifest = {
        "name": f"a city's car parks on 2026-06-15, seed {seed}, {vehicles} vehicles",
        "app": "citypark",
        "content_sha256": hashlib.sha256(content).hexdigest(),
        **_totals(messages, verdicts, model),
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


def _make_messages(random: Random, vehicles: int) -> list[Message]:
    ids = Ids()
    drivers, lanes = make_lanes(random, ids, vehicles)
    setup = [*setup_messages(ids, drivers), *story_setup(ids)]
    day = [
        message
        for driver, lane in zip(drivers, lanes, strict=True)
        for message in add_mischief(random, ids, driver, lane)
    ]
    day += strangers(random, ids, vehicles // 25)
    day += stories(random, ids, max(1, vehicles // _VEHICLES_FOR_A_STORY))
    # Stable, so the order within a lane stays.
    return setup + sorted(day, key=lambda message: message.at)


def _line(message: Message, verdict: Verdict) -> str:
    line: dict[str, Any] = {
        "at": message.at,
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
    # A read that waits for its answer has to know it, and not only what kind of one it is.
    result = {"status": verdict.outcome} if message.until else {}
    if result | verdict.result:
        line["expect_result"] = result | verdict.result
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"


def _totals(messages: list[Message], verdicts: list[Verdict], model: Model) -> dict[str, Any]:
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for message, verdict in zip(messages, verdicts, strict=True):
        outcomes[message.subject_tail][verdict.outcome] += 1
    owed = {
        plate: sum(amount for _, amount in dues)
        for plate, dues in sorted(model.arrears.items())
        if dues
    }
    owed |= model.stories.owed()
    shared = [*(f"@acct:{name}" for name in STORY_ACCOUNTS), *_story_lots()]
    return {
        "messages": sum(not message.setup for message in messages),
        "setup_messages": sum(message.setup for message in messages),
        "outcomes": {tail: dict(sorted(outcomes[tail].items())) for tail in sorted(outcomes)},
        "payments": model.payments.total(),
        "lots": {
            lot: {
                "account": f"@acct:lot:{lot}",
                "balance_minor": model.balances[f"@acct:lot:{lot}"],
                "payments": model.payments[f"@acct:lot:{lot}"],
            }
            for lot in LOTS
        },
        "balances": {name: model.balances[name] for name in shared},
        "arrears_minor": sum(owed.values()),
        "arrears": owed,
    }


def _story_lots() -> list[str]:
    return [f"@acct:lot:{lot}" for lot in STORY_LOTS]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the day as the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m plugins.parking.samples.generate")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the day")
    parser.add_argument("--vehicles", type=int, default=VEHICLES, help="number of cars (<= 9999)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder")
    options = parser.parse_args(arguments)
    manifest = generate(seed=options.seed, vehicles=options.vehicles, out=options.out)
    sys.stdout.write(f"{manifest['messages']} messages in {options.out / DAY_FILE}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
