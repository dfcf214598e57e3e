"""A node of the service with a bug planted: ``python -m tests.broken_nodes BUG``.

What follows the bug goes to ``zhihui node``. For the harness's own acceptance tests: never start it
on books that anybody needs.
"""

import argparse
import sys

from tests.broken_nodes.bugs import BUGS, plant

__all__ = ("main",)


def main(arguments: list[str] | None = None) -> None:
    """Plant the bug, then be a node."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.broken_nodes",
        description="Run a node with a bug on purpose, to see that a load run notices.",
    )
    parser.add_argument("bug", choices=BUGS)
    parser.add_argument("--every", type=int, default=97, help="payments of which one is hit")
    given, rest = parser.parse_known_args(arguments)
    plant(given.bug, given.every)
    from zhihui.cli import app

    app(["node", *rest], prog_name="zhihui")


if __name__ == "__main__":
    main(sys.argv[1:])
