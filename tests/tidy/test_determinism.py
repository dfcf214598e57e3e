"""Time and randomness are handed out by the kernel: nothing takes them from the machine."""

import ast

from tests.tidy.source import Module, imports, modules

# What a simulated world could not replay.
_SOURCES = frozenset(
    {
        "anyio.sleep",
        "asyncio.sleep",
        "datetime.date.today",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
        "os.urandom",
        "time.monotonic",
        "time.monotonic_ns",
        "time.perf_counter",
        "time.sleep",
        "time.time",
        "time.time_ns",
        "uuid.uuid1",
        "uuid.uuid4",
        "uuid.uuid7",
    }
)

# The adapters themselves, and the rooms that stand outside the simulated world.
_ADAPTERS = (
    "kernel/clock.py",
    "kernel/randomness.py",
    "loadtest/",
    "zhihui/demo",
    "zhihui/embedded/",
)


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
            if root in known:
                found.append((node.lineno, f"{known[root]}.{rest}"))
    return found


def test_time_and_randomness_come_from_the_kernel() -> None:
    """Outside the adapters nothing reads a clock, draws a random number or sleeps."""
    offenders = [
        f"{module.path}:{line} {name}"
        for module in modules()
        if not module.path.startswith(_ADAPTERS)
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
    ):
        module = Module(path="kernel/x.py", name="kernel.x", text=text, tree=ast.parse(text))
        assert any(_forbidden(name) for _, name in _uses(module)), text
    allowed = "import random, time\nfrom datetime import datetime\nrandom.Random(1); time.strftime"
    module = Module(path="kernel/x.py", name="kernel.x", text=allowed, tree=ast.parse(allowed))
    assert not any(_forbidden(name) for _, name in _uses(module))
