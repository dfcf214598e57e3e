"""Fuzzing led by coverage: ``python -m tests.fuzz.guided manifest -runs=100000``.

It needs atheris, which is no dependency of ours: ``pip install atheris`` (Linux, Python 3.11 to
3.13). Where the other fuzzing knows what an input looks like, this one finds out by itself which
bytes lead to code that was not run yet. It ends at the first input for which a claim fails; what it
learns is kept under ``build/fuzz/guided``.
"""

import sys
from pathlib import Path

from tests.fuzz.targets import CORPUS

__all__ = ("NAMES", "main")

# Read in this process; a whole node is more than coverage could lead through.
NAMES = ("edge", "frame", "manifest", "archive", "signature")


def main() -> None:
    """Run until an input breaks a claim, or as long as the options of libFuzzer say."""
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        sys.exit(f"usage: python -m tests.fuzz.guided {'|'.join(NAMES)} [-runs=N] [option ...]")
    try:
        import atheris  # type: ignore[import-untyped]
    except ImportError:
        sys.exit("atheris is not installed here: pip install atheris")
    with atheris.instrument_imports(include=["kernel", "schemas", "tomllib", "tarfile"]):
        from tests.fuzz.readers import check
    name, *options = sys.argv[1:]
    learned = Path("build") / "fuzz" / "guided" / name
    learned.mkdir(parents=True, exist_ok=True)

    def try_one(data: bytes) -> None:
        check(name, data)

    atheris.Setup([sys.argv[0], *options, str(learned), str(CORPUS / name)], try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
