"""Writes the public interface as files: AsyncAPI, JSON Schema, the table of errors and a page."""

import json
from pathlib import Path

from schemas.asyncapi import asyncapi_document
from schemas.bank_events import BANK_EVENTS
from schemas.catalogue import BANK_OPERATIONS
from schemas.json_schema import Json, error_table, message_documents
from schemas.operation import Operation
from schemas.reference import messages_markdown
from zhihui.packs import bundled_event_data, bundled_packs

__all__ = ("CONTRACT_VERSION", "public_operations", "write_schema")

# Of the messages, not of the program: the middle number rises when a message gains something, the
# first with the `v1` of the subjects.
CONTRACT_VERSION = "1.0.0"


def public_operations() -> tuple[Operation, ...]:
    """Return the bank's operations, then those of the bundled packs."""
    offered = (operation for pack in bundled_packs() for operation in pack.operations())
    return (*BANK_OPERATIONS, *offered)


def write_schema(out: Path) -> list[Path]:
    """Write all files into the folder ``out``, which is made if need be; return their paths.

    ``asyncapi.json``, ``errors.json``, ``messages.md``, and a JSON Schema per message under
    ``json-schema/``, from which those of messages that are gone are removed.
    """
    operations = public_operations()
    event_data = BANK_EVENTS | bundled_event_data()
    files: dict[Path, str] = {
        out / "asyncapi.json": _text(
            asyncapi_document(operations, event_data, version=CONTRACT_VERSION)
        ),
        out / "errors.json": _text(error_table()),
        out / "messages.md": messages_markdown(operations, event_data),
    }
    folder = out / "json-schema"
    for name, document in message_documents(operations, event_data).items():
        files[folder / f"{name}.json"] = _text(document)
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.json"):
        if path not in files:
            path.unlink()
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return sorted(files)


def _text(value: Json | list[Json]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
