"""Time and randomness are handed out by the kernel: nothing takes them from the machine."""

import ast
import re

from tests.tidy.source import Module, imports, modules

# What a simulated world could not replay.
_SOURCES = frozenset(
    {
        "anyio.current_time",
        "anyio.sleep",
        "anyio.sleep_until",
        "asyncio.sleep",
        "datetime.date.today",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
        "loop.time",
        "os.getrandom",
        "os.times",
        "os.urandom",
        *(
            f"time.{name}{unit}"
            for name in (
                "clock_gettime", "monotonic", "perf_counter", "process_time", "thread_time", "time",
            )
            for unit in ("", "_ns")
        ),
        "time.asctime",
        "time.ctime",
        "time.localtime",
        "time.sleep",
        *(f"uuid.uuid{version}" for version in (1, 4, 6, 7)),
    }
)  # fmt: skip

# The adapters themselves, and the rooms that stand outside the simulated world.
_ADAPTERS = {
    "kernel/clock.py": "the clock of the operating system, behind the port Clock",
    "kernel/randomness.py": "its randomness, behind the port Randomness",
    "kernel/virtual_time.py": "the clock of a simulated world",
    "loadtest/": "measures real time",
    "zhihui/demo": "waits for people",
    "zhihui/embedded/": "waits for processes",
}


def _forbidden(name: str) -> bool:
    # A generator made with a seed repeats itself; the functions of the module do not.
    if name.startswith("random."):
        return name != "random.Random"
    return name.startswith("secrets.") or name in _SOURCES


def _uses(module: Module) -> list[tuple[int, str]]:
    """Return line and full name of every dotted use of an imported name, aliases resolved."""
    known: dict[str, str] = {}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                known[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    found = [(line, target) for line, target in imports(module) if _forbidden(target)]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute):
            root, _, rest = ast.unparse(node).partition(".")
            # The time of an event loop, however the loop was come by.
            if node.attr == "time" and re.search(r"loop(\(\))?$", ast.unparse(node.value)):
                found.append((node.lineno, "loop.time"))
            elif root in known:
                found.append((node.lineno, f"{known[root]}.{rest}"))
    return found


def test_time_and_randomness_come_from_the_kernel() -> None:
    """Outside the adapters nothing reads a clock, draws a random number or sleeps."""
    offenders = [
        f"{module.path}:{line} {name}"
        for module in modules()
        if not module.path.startswith(tuple(_ADAPTERS))
        for line, name in _uses(module)
        if _forbidden(name)
    ]
    assert offenders == [], "\n".join(offenders)


def test_the_search_sees_through_aliases() -> None:
    """The check itself finds a forbidden source however it was imported."""
    for text in (
        "import time\ntime.time()",
        "import time as t\nt.monotonic()",
        "from time import monotonic",
        "from datetime import datetime\ndatetime.now()",
        "import datetime\ndatetime.datetime.now()",
        "import random\nrandom.random()",
        "from random import choice",
        "import secrets\nsecrets.token_hex()",
        "import asyncio\nasyncio.sleep(1)",
        "import asyncio\nasyncio.get_event_loop().time()",
        "import asyncio\nloop = asyncio.get_running_loop()\nloop.time()",
        "self._loop.time()",
        "from anyio import current_time",
        "import time\ntime.perf_counter_ns()",
        "import uuid\nuuid.uuid4()",
    ):
        module = Module(path="kernel/x.py", name="kernel.x", text=text, tree=ast.parse(text))
        assert any(_forbidden(name) for _, name in _uses(module)), text
    allowed = (
        "import random, time\nfrom datetime import datetime\n"
        "random.Random(1); time.strftime; day.time()"
    )
    module = Module(path="kernel/x.py", name="kernel.x", text=allowed, tree=ast.parse(allowed))
    assert not any(_forbidden(name) for _, name in _uses(module))
