"""``python -m tests.fuzz``: fuzz all edges, or try one input again."""

import argparse
import os
import sys
from pathlib import Path

from tests.fuzz.run import TARGETS, fuzz, replay

__all__ = ("main",)


def main(arguments: list[str] | None = None) -> int:
    """Do as the arguments say; return 0, 90 when something was found, and 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="how many, of all targets")
    parser.add_argument("--seed", type=int, default=1, help="what they are drawn from")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--only", action="append", choices=tuple(TARGETS), help="this target")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="try this one; needs --only")
    given = parser.parse_args(arguments)
    only = tuple(given.only or ())
    if given.replay:
        if len(only) != 1:
            parser.error("--replay needs one target: --only edge, for example")
        findings = replay(only[0], given.replay.read_bytes()).findings
        for finding in findings:
            sys.stdout.write(f"{finding.what}\n")
        return 90 if findings else 0
    if given.inputs < 1 or given.jobs < 1:
        parser.error("--inputs and --jobs are at least 1")
    return fuzz(inputs=given.inputs, seed=given.seed, jobs=given.jobs, only=only)


if __name__ == "__main__":
    sys.exit(main())
