"""Prepare the process that this runs in, then become the command.

Run as a script with ``python -I -S``, standard library only: ``_launch.py SPEC COMMAND...`` where
SPEC is JSON with ``parent`` (its pid), ``death_signal`` and ``user``. A launcher instead of
``preexec_fn``, because code between fork and exec may deadlock when the parent has threads, which
newer Pythons rightly warn of.
"""

import ctypes
import json
import os
import sys
from typing import Any

__all__ = ()

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1


def _libc_call(name: str, *arguments: Any) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _enter_user_namespace(inner_uid: int) -> None:
    # Outside, the process stays who it was, so files keep their owner; inside, it is an ordinary
    # user with a name and without capabilities, which is what Postgres asks for.
    uid, gid = os.getuid(), os.getgid()
    _libc_call("unshare", _CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{inner_uid} {uid} 1"),
        ("gid_map", f"{inner_uid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 - no pathlib: 5 ms
            file.write(text)


def _drop_to(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _main(spec: dict[str, Any], command: list[str]) -> None:
    user = spec["user"]
    if user["mode"] == "namespace":
        _enter_user_namespace(user["uid"])
    elif user["mode"] == "drop":
        _drop_to(user["uid"], user["gid"])
    if sys.platform == "linux" and spec["death_signal"]:
        # Last, because a change of credentials clears it. The parent may have died before the
        # call, in which case no signal will ever come.
        _libc_call("prctl", _PR_SET_PDEATHSIG, spec["death_signal"], 0, 0, 0)
    if os.getppid() != spec["parent"]:
        raise SystemExit("the process that asked for this one is gone")
    os.execv(command[0], command)  # noqa: S606 - becoming the command is the purpose


if __name__ == "__main__":
    try:
        _main(json.loads(sys.argv[1]), sys.argv[2:])
    except OSError as error:
        print(f"launch: {error}", file=sys.stderr)  # noqa: T201 - goes to the server's log
        raise SystemExit(127) from None
