"""The part of ``zhihui plugin`` that authors of packs use; no service has to run for it."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from zhihui.commands.console import bad_input, errors

if TYPE_CHECKING:
    from zhihui.author.checks import Check, Verdict

__all__ = ("EXAMPLES", "add_to", "check", "keygen", "new", "pack", "run_tests", "sign", "verify")

EXAMPLES = """\
```
zhihui plugin new bike_lockers               a folder with a pack that works
zhihui plugin test bike_lockers              its own tests, on a simulated platform
zhihui plugin check bike_lockers             twelve things that must never go wrong
zhihui plugin pack bike_lockers              one file: bike_lockers-0.1.0.zhpack
zhihui plugin keygen our-team                a pair of keys
zhihui plugin sign bike_lockers-0.1.0.zhpack --key our-team.secret.pem
zhihui plugin verify bike_lockers-0.1.0.zhpack --key our-team.pem
```
"""

_WRITE = "Write"
_EXIT_INTERRUPTED = 130

_Pack = Annotated[
    Path, typer.Argument(metavar="[PACK]", help="The folder of the pack, or one in it.")
]
_Archive = Annotated[Path, typer.Argument(metavar="ARCHIVE", help="A file that `pack` made.")]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="The seed of all that is random.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to ``zhihui plugin``."""
    for command in (new, run_tests, check, pack, keygen, sign, verify):
        name = "test" if command is run_tests else command.__name__
        app.command(name, rich_help_panel=_WRITE, epilog=EXAMPLES)(command)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end what is simulated at once, and quietly.

    The handler that asyncio would set wakes its loop from outside, which a virtual one refuses.
    """
    before = signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    except (KeyboardInterrupt, BaseExceptionGroup) as error:
        # From within a task it comes wrapped in the groups around it.
        if isinstance(error, BaseExceptionGroup) and error.subgroup(KeyboardInterrupt) is None:
            raise
        _progress("")
        raise typer.Exit(_EXIT_INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as `bike_lockers`.")],
    into: Annotated[
        Path, typer.Option("--into", file_okay=False, help="Where its folder is made.")
    ] = Path(),
) -> None:
    """Make the folder of a new pack: a small trade that works, to be replaced by yours.

    It has a manifest, code, tests and a story for `check`, and passes all of them.
    """
    from zhihui.author.scaffolding import new_pack

    for path in new_pack(name, into):
        _say(str(path))
    _say(f"\nTry next: zhihui plugin test {into / name}")


def run_tests(
    pack: _Pack = Path(),
    seed: _Seed = 1,
    times: Annotated[
        int,
        typer.Option("--times", min=1, help="Run each test with so many seeds, from --seed on."),
    ] = 1,
    only: Annotated[
        str, typer.Option("--only", "-k", help="Run tests that have this in their name.")
    ] = "",
) -> None:
    """Run the tests of a pack on the simulated platform: virtual time, everything in memory.

    Tests are in its folder `tests`, in files `test_*.py`. A failed one tells its seed, what
    happened last, and the difference. Exits with 1 when one failed.
    """
    from kernel.clock import SystemClock
    from zhihui.author.packing import pack_root
    from zhihui.author.runner import find_tests, run_test

    clock = SystemClock()
    failed = done = 0
    began_s = clock.monotonic_s()
    with _interruptible(), find_tests(pack_root(pack)) as found:
        chosen = [one for one in found if only in one.name]
        if not chosen:
            raise bad_input(f"no test has {only!r} in its name")
        for one in chosen:
            for number in range(seed, seed + times):
                told = run_test(one, number, clock)
                done += 1
                if told.failure:
                    failed += 1
                    _say(f"FAILED  {one.name}  (seed {number})\n{told.failure}\n")
                    break
            else:
                _say(f"ok      {one.name}{f'  {times} seeds' if times > 1 else ''}")
    took = f"{done} runs in {clock.monotonic_s() - began_s:.1f} s, seed {seed}"
    if failed:
        _say(f"{failed} of {len(chosen)} tests failed; {took}. Repeat one by --seed and -k.")
        raise typer.Exit(1)
    _say(f"{len(chosen)} tests passed; {took}.")


def check(
    pack: _Pack = Path(),
    before: Annotated[
        Path | None,
        typer.Option("--before", help="The version before, as archive or folder: upgrade from it."),
    ] = None,
    story: Annotated[
        Path | None, typer.Option("--story", help="Play this instead of samples/check.toml.")
    ] = None,
    only: Annotated[
        list[int] | None, typer.Option("--only", help="Run this check; give it again for more.")
    ] = None,
    seed: _Seed = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
) -> None:
    """Prove that a pack bears what will happen to it: the twelve checks of the conformance suite.

    The story in `samples/check.toml` is played again and again on the simulated platform, with
    duplicates, crashes, upgrades and the like, and must come out the same. Exits with 1 when it
    does not.
    """
    from kernel.clock import SystemClock
    from zhihui.author.checks import CHECKS, run_checks
    from zhihui.author.packing import archive_at
    from zhihui.author.report import check_lines, summary_lines
    from zhihui.author.story import read_story, story_of

    known = {one.number: one for one in CHECKS}
    if unknown := set(only or ()) - known.keys():
        raise bad_input(f"there is no check {min(unknown)}; they are 1 to {len(CHECKS)}")
    archive = archive_at(pack)
    told = story_of(archive) if story is None else _story(story, archive, read_story)
    clock = SystemClock()

    def show(one: "Check", verdict: "Verdict | None") -> None:
        if as_json:
            return
        if verdict is None:
            _progress(f"{one.number:>2}  {one.name} …")
        else:
            _progress("")
            for line in check_lines(verdict):
                _say(line)

    with _interruptible():
        report = run_checks(
            archive, told, [one for one in CHECKS if not only or one.number in only], clock,
            before=None if before is None else archive_at(before), seed=seed, told=show,
        )  # fmt: skip
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    else:
        for line in summary_lines(report):
            _say(line)
    if not report.passed:
        raise typer.Exit(1)


def _story(path: Path, archive: Any, read: Callable[..., Any]) -> Any:
    if not path.is_file():
        raise bad_input(f"there is no file {path}")
    return read(path.read_bytes(), archive.manifest, str(path))


def pack(
    pack: _Pack = Path(),
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The file, or a folder; else NAME-VERSION.zhpack here."),
    ] = None,
) -> None:
    """Make an archive of a pack: the same content makes the same bytes, always."""
    from zhihui.author.signing import pack_to

    target, archive = pack_to(pack, out)
    _say(f"{target}: {archive.manifest.name} {archive.manifest.version}, {len(archive.data)} bytes")
    _say(f"sha256 {archive.sha256}")


def keygen(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who signs, such as `our-team`.")],
    into: Annotated[
        Path, typer.Option("--into", file_okay=False, exists=True, help="Where the files go.")
    ] = Path(),
) -> None:
    """Make a pair of Ed25519 keys: NAME.secret.pem, which stays with you, and NAME.pem.

    Nodes trust the public half when `ZHIHUI_PLUGIN_KEYS` names it or its folder.
    """
    from zhihui.author.signing import make_key

    if not name or "/" in name or name.startswith("."):
        raise bad_input(f"{name!r} cannot be the name of a file")
    secret, public = make_key(name, into)
    _say(f"{secret}: keep it secret")
    _say(f"{public}: give it to those who shall trust you")


def sign(
    archive: _Archive,
    key: Annotated[Path, typer.Option("--key", help="Your secret key, as `keygen` makes it.")],
) -> None:
    """Sign an archive; the signature stands beside it, in ARCHIVE.sig."""
    from zhihui.author.signing import sign_archive

    _say(str(sign_archive(archive, key)))


def verify(
    archive: _Archive,
    key: Annotated[
        list[Path], typer.Option("--key", help="A public key that you trust; again for more.")
    ],
) -> None:
    """Tell who signed an archive; exits with 1 when none of the keys did, or it was changed."""
    from zhihui.author.signing import verify_archive

    found, owner = verify_archive(archive, key)
    _say(f"{archive}: {found.manifest.name} {found.manifest.version}, signed by {owner}")
    _say(f"sha256 {found.sha256}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _progress(text: str) -> None:
    """Show what is being done, where a person looks on."""
    if errors.is_terminal:
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
