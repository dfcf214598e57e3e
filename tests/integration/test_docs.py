"""The pages for people: their examples run, their links lead somewhere, their numbers are true."""

import importlib.util
import json
import re
import shutil
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import msgspec
import pytest

from schemas.bank_events import BANK_EVENTS
from schemas.errors import ERRORS, InsufficientFunds, SelfPayment
from schemas.events import EVENT_TYPE_PREFIX, CloudEvent
from schemas.payments import Payment
from schemas.reply import PublicReply
from schemas.subjects import request_subject
from tests.documents import PAGES, ROOT, RUN_PAGES, Block, anchors, blocks, links, rows
from tests.terminal import Terminal
from zhihui.audit.checks import CHECKS
from zhihui.client import Client
from zhihui.demo.day import load_day
from zhihui.node import NodeConfig, running_node

# Blocks that show something and cannot be run; more of them on a page would be a page of claims.
_ILLUSTRATIONS_MAX = 2

# What a checkout holds that an example may need.
_CHECKOUT = (
    "schemas", "kernel", "actors", "plugins", "loadtest", "zhihui", "tests", "pyproject.toml",
)  # fmt: skip

# Of the package that nats-py signs with, as much as nats-py uses: no wheel of it is in the lock.
_NKEYS = """
from kernel.nkey import Nkey


class KeyPair:
    def __init__(self, key):
        self._key = key
        self.public_key = key.public_key.encode()

    def sign(self, data):
        return self._key.sign(data)

    def wipe(self):
        pass


def from_seed(seed):
    return KeyPair(Nkey.from_seed(seed.decode()))
"""

_MAKE_TARGET = re.compile(r"^([a-z]+):.*##", re.MULTILINE)
_MAKE_COMMAND = re.compile(r"(?:`|\$ )make ([a-z]+)")

_UNITS = {"": 1, "s": 1, "ms": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def _checkout(folder: Path) -> Path:
    """Return a copy of the sources, for examples that add files to them.

    With what is compiled of them: it takes longer to compile all of it than to run a page.
    """
    ignore = shutil.ignore_patterns("node_modules", ".zhihui")
    for name in _CHECKOUT:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=ignore)
        else:
            shutil.copy(source, target)
    if importlib.util.find_spec("nkeys") is None:
        (folder / "nkeys.py").write_text(_NKEYS, encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", RUN_PAGES)
def test_the_examples_of_a_page_run(
    page: str, tmp_path: Path, nats_url: str, empty_postgres_dsn: str, free_tcp_port: int
) -> None:
    """Typed one after the other into one shell, the examples do what the page says."""
    given = {
        "nats://node:secret@nats.bank.internal:4222": nats_url,
        "postgresql://zhihui:secret@db.bank.internal:5432/zhihui": empty_postgres_dsn,
        "4222": str(free_tcp_port),
    }
    with Terminal(_checkout(tmp_path / "checkout"), known=given) as terminal:
        for block in blocks(page):
            try:
                _run(terminal, block)
            except AssertionError as error:
                raise AssertionError(f"{block.where}: {error}") from error
        terminal.finish()


def _run(terminal: Terminal, block: Block) -> None:
    if block.file_name is not None:
        terminal.save(block.file_name, block.text)
        return
    match block.language:
        case "python":
            terminal.run_python(block.text)
        case "console":
            terminal.type_console(_without_make(block.text))
        case "sql":
            anyio.run(_query, terminal.postgres_dsn(), block.text)
        case "mermaid":
            # A drawing; tests/unit/payments compares it with the table that it draws.
            pass
        case "json":
            _check_json(json.loads(block.text))
        case _:
            assert block.language == "text", f"a block of {block.language!r} is checked by nobody"


def _without_make(text: str) -> str:
    # Tests that run the tests would not end; that the targets exist is checked below.
    return "".join(line for line in text.splitlines(True) if not line.startswith("$ make "))


async def _query(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.fetch(sql)
    finally:
        await connection.close()


def _check_json(shown: dict[str, Any]) -> None:
    """Fail unless what is shown is a message of ours."""
    if "specversion" in shown:
        event = msgspec.json.decode(json.dumps(shown), type=CloudEvent)
        (data,) = BANK_EVENTS[event.type.removeprefix(EVENT_TYPE_PREFIX)]
        msgspec.convert(shown["data"], data)
    else:
        msgspec.convert(shown, PublicReply)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Every relative link names a file that is there, and every anchor one of its headings."""
    broken = []
    for line, target in links(page):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        linked = (ROOT / page).parent / name if name else ROOT / page
        known = linked.exists()
        if known and anchor:
            known = anchor in anchors(str(linked.resolve().relative_to(ROOT)))
        if not known:
            broken.append(f"{page}:{line} {target}")
    assert broken == [], "\n".join(broken)


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    """Every `make` command that a page names is a target of the Makefile."""
    targets = set(_MAKE_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    named = set(_MAKE_COMMAND.findall((ROOT / page).read_text(encoding="utf-8")))
    assert named <= targets


@pytest.mark.parametrize("page", PAGES)
def test_few_blocks_are_not_run(page: str) -> None:
    """Hardly any block of a page is an illustration only."""
    shown = [block.where for block in blocks(page) if block.language == "text"]
    assert len(shown) <= _ILLUSTRATIONS_MAX, shown


def test_the_table_of_errors_is_the_one_of_the_code() -> None:
    """The page for backends lists every code, in order, and tells rightly which to retry."""
    listed = [(code.strip("`"), retry) for code, retry, _ in rows("docs/for-backends.md", "Errors")]
    assert listed == [(code, "yes" if kind.retryable else "no") for code, kind in ERRORS.items()]


def test_the_checks_of_the_audit_are_those_of_the_code() -> None:
    """The page for operators lists every check with its claim."""
    listed = [(name.strip("`"), claim) for name, claim in rows("docs/operations.md", "The audit")]
    assert listed == [(check.name, check.claim) for check in CHECKS]


@pytest.mark.parametrize("heading", ["Limits", "Stopping"])
def test_limits_are_those_of_the_code(heading: str) -> None:
    """Every limit of the page for operators equals the constant that it names."""
    wrong = []
    for what, value, name in rows("docs/operations.md", heading):
        actual = _constant(name.strip("`"))
        number, _, unit = value.partition(" ")
        if float(number.replace(",", "")) * _UNITS[unit] != actual:
            wrong.append(f"{what}: {value}, but {name} is {actual}")
    assert wrong == [], "\n".join(wrong)


def _constant(name: str) -> Any:
    """Return ``module.CONSTANT``, or the default of ``module.Struct.field``."""
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found() if isinstance(found, type) else found, part)
        return found
    raise LookupError(name)


def test_the_readme_counts_the_messages_of_the_demo() -> None:
    """The number of messages in the README is that of the bundled day."""
    manifest = load_day().manifest
    counted = f"{manifest.setup_messages + manifest.messages:,} messages"
    assert counted in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.anyio
async def test_what_is_refused_early_is_not_remembered(postgres_dsn: str, nats_url: str) -> None:
    """An id refused before the books may be used again; one refused by the books stays refused."""
    config = NodeConfig(name="n1", nats_url=nats_url, postgres_dsn=postgres_dsn)
    async with running_node(config), Client(app="shop", url=nats_url) as client:
        payer = (await client.accounts.open(holder="Li Lei")).account_id
        payee = (await client.accounts.open(holder="Han Mei")).account_id

        async def pay(request_id: str, to: str) -> Payment:
            return await client.payments.create(
                payer=payer, payee=to, amount_minor=5, request_id=request_id
            )

        with pytest.raises(SelfPayment):
            await pay("early", payer)
        with pytest.raises(InsufficientFunds):
            await pay("late", payee)
        await client.accounts.deposit(payer, 100, source="external:cash")
        with pytest.raises(InsufficientFunds):
            await pay("late", payee)
        assert (await pay("early", payee)).status == "succeeded"


@pytest.mark.anyio
async def test_the_form_of_a_request_does_not_matter(postgres_dsn: str, nats_url: str) -> None:
    """White space, the order of fields and defaults written out make the same request."""
    config = NodeConfig(name="n1", nats_url=nats_url, postgres_dsn=postgres_dsn)
    forms = (
        b'{"request_id":"o-1","holder":"Li Lei"}',
        b'{ "holder": "Li Lei", "currency": "CNY", "type": "customer", "request_id": "o-1" }',
    )
    async with running_node(config), Client(app="shop", url=nats_url) as client:
        subject = request_subject("shop", "account", "open")
        answers = {await client.request_raw(subject, form, timeout_s=5) for form in forms}
    assert len(answers) == 1
    assert b'"ok":true' in answers.pop()


def test_the_picture_needs_nothing_else() -> None:
    """The picture of the README is an SVG without links, and of a run that went well."""
    picture = (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)\S+", picture) == []
    assert "The&#160;audit&#160;holds" in picture
    assert "mismatch" not in picture
