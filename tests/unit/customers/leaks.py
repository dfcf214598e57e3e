"""What must not be found anywhere: the plain values of persons, in whatever form they stand."""

import logging
from base64 import b64encode
from collections.abc import Iterable
from typing import Any, Self

from actors.customers.reference_source import ReferencePerson

__all__ = ("KeptLog", "leaks", "secrets_of")


def secrets_of(people: Iterable[ReferencePerson]) -> set[str]:
    """Return names, identity numbers, phone and card numbers, and parts that give them away."""
    found = set()
    for one in people:
        numbers = [one.id_number, one.phone, *(card.number for card in one.cards)]
        found |= {one.name, *numbers}
        # The date of birth with what follows it, and any number without its first digits.
        found |= {one.id_number[6:14], *(number[-8:] for number in numbers)}
        found |= {b64encode(number.encode()).decode().rstrip("=") for number in numbers}
    return found


def leaks(secrets: set[str], where: str, content: Iterable[Any]) -> list[str]:
    """Return where which of the secrets stand, in texts, bytes and anything that prints."""
    found = []
    for value in content:
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        # JSON may write other characters than ASCII as numbers.
        escaped = text.encode().decode("unicode_escape", "replace") if "\\u" in text else ""
        found += [f"{where}: {one}" for one in secrets if one in text or one in escaped]
    return sorted(set(found))


class KeptLog(logging.Handler):
    """Keeps every line of the log, with tracebacks, for as long as it is in place."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        self.lines.append(self.format(record))

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self._level = root.level
        root.setLevel(logging.DEBUG)
        root.addHandler(self)
        return self

    def __exit__(self, *ending: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._level)
