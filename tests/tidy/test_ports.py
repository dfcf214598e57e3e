"""Outside the adapters nothing knows NATS, Postgres or a socket: only the ports."""

import ast
import re

from tests.tidy.source import Module, imports, modules

# What speaks to a server or to the operating system's network.
_SERVERS = (
    "aiohttp", "asyncpg", "alembic", "http", "httpx", "nats", "psutil", "psycopg", "requests",
    "select", "selectors", "socket", "socketserver", "sqlalchemy", "ssl", "subprocess",
    "urllib.request", "urllib3",
)  # fmt: skip
# asyncio's own ways to a network, a process or a thread.
_WAYS_OUT = re.compile(
    r"\.(open_connection|start_server|open_unix_connection|create_connection|create_server"
    r"|create_datagram_endpoint|create_unix_connection|create_subprocess_\w+|to_thread\w*"
    r"|run_in_executor|connect_tcp|create_tcp_listener|open_process|run_process)$"
)
# The verbs of SQL, as they begin a statement or stand in one.
_SQL = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\S+\s+(AS\s+\w+\s+)?SET|DELETE\s+FROM"
    r"|CREATE\s+(TABLE|INDEX)|ALTER\s+TABLE|TRUNCATE)\b|\bzhihui\.[a-z_]+\b(?=\s+(AS|WHERE|SET)\b)",
    re.DOTALL,
)

# Each with what it is an adapter of.
_ADAPTERS = {
    "actors/channels/adapters/transport.py": "HTTP to the payment channels, behind their adapters",
    "actors/channels/callback_receiver.py": "HTTP from the payment channels, which call back",
    "kernel/_nats_connection.py": "nats-py's connection, behind the port Bus",
    "kernel/nats_bus.py": "the port Bus over NATS",
    "kernel/nats_security.py": "how a connection to NATS proves who it is",
    "kernel/plugins/object_store.py": "archives of plugins in NATS's object store",
    "kernel/postgres_store.py": "the port Store over Postgres",
    "kernel/_postgres_ownership.py": "its part that owns partitions",
    "kernel/_postgres_writing.py": "its part that writes the rows of a commit",
}
# Rooms, and files of the front door, that stand outside the simulated world.
_OUTSIDE = {
    "loadtest/": "measures real servers",
    "zhihui/access/": "the operator's access to both servers, from the command line",
    "zhihui/audit/": "proves the books from the database alone, whatever the program says",
    "zhihui/channel_simulator/": "plays the payment channels over HTTP, as a process of its own",
    "zhihui/cli.py": "the command line",
    "zhihui/client.py": "what a backend runs in its own process",
    "zhihui/commands/": "the command line",
    "zhihui/demo/city/simulator.py": "starts the simulator of the channels and fails it by HTTP",
    "zhihui/embedded/": "starts the real servers",
    "zhihui/instruments/": "what monitoring reads over HTTP of a node on real servers",
    "zhihui/migrate.py": "changes the real schema",
    "zhihui/migrations/": "changes the real schema",
    "zhihui/reconciliation.py": "holds the channels' books, fetched by HTTP, against the database",
    "zhihui/status/": "what the command line shows of real servers",
}

_PLACES = (*_ADAPTERS, *_OUTSIDE)


def _is_inside(module: Module) -> bool:
    return not module.path.startswith(_PLACES)


def _is_server(target: str) -> bool:
    return any(target == name or target.startswith(f"{name}.") for name in _SERVERS)


def _texts(module: Module) -> list[tuple[int, str]]:
    """Return line and content of every string that is no docstring."""
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(module.tree)
        if isinstance(node, nodes) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
    ]


def _attributes(module: Module) -> list[tuple[int, str]]:
    """Return line and dotted text of every attribute that is used."""
    return [
        (node.lineno, ast.unparse(node))
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
    ]


def _offences(module: Module) -> list[str]:
    found = [
        f"{module.path}:{line} imports {target}"
        for line, target in imports(module)
        if _is_server(target)
    ]
    found += [
        f"{module.path}:{line} uses {name}"
        for line, name in _attributes(module)
        if _WAYS_OUT.search(name) or name.endswith(".read_rows")
    ]
    found += [
        f"{module.path}:{line} writes SQL: {text[:40]!r}"
        for line, text in _texts(module)
        if _SQL.search(text)
    ]
    return found


def test_only_adapters_reach_a_server() -> None:
    """Nothing else imports a driver, opens a socket, a process or a thread, or writes SQL."""
    offenders = [one for module in modules() if _is_inside(module) for one in _offences(module)]
    assert offenders == [], "\n".join(offenders)


def test_every_adapter_is_one() -> None:
    """No place is excused that needs no excuse, or is not there any more."""
    for place in _PLACES:
        found = [module for module in modules() if module.path.startswith(place)]
        # Revisions and the like are not read as modules of ours.
        assert found or place == "zhihui/migrations/", place
        if place in _ADAPTERS:
            assert any(_offences(module) for module in found), place


def test_the_search_finds_offences() -> None:
    """The check itself sees imports, ways out and SQL however they are written."""
    for text in (
        "import asyncpg",
        "import nats.aio.client",
        "from nats.js import api",
        "import socket as s",
        "import asyncio\nawait asyncio.open_connection('h', 1)",
        "import anyio.to_thread\nawait anyio.to_thread.run_sync(f)",
        "async def f(store): return await store.read_rows('x')",
        "q = 'SELECT a FROM zhihui.b'",
        "q = f'select' 'DELETE FROM zhihui.x WHERE a = {b}'",
        "q = f'UPDATE zhihui.account AS a SET {c} = 1'",
        "q = '''\nSELECT x,\n y FROM t'''",
    ):
        module = Module(path="actors/x.py", name="actors.x", text=text, tree=ast.parse(text))
        assert _offences(module), text
    for text in (
        "'''SELECT a FROM b in a docstring.'''",
        "x = 'Select a plan from the list'",
        "from urllib.parse import urlsplit",
        "import natsort",
    ):
        module = Module(path="actors/x.py", name="actors.x", text=text, tree=ast.parse(text))
        assert not _offences(module), text
