"""Where claims about persons and companies are checked: the port, and its deadline.

A bank plugs its own source in (the network for identity checks, UnionPay's card elements, the
company registry) by a class with these two methods; `docs/customers.md` shows one. A source that
does not answer is never a no: the case waits.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol, TypeVar

import anyio
import msgspec

from actors.customers.masking import without_message
from schemas.customers import Personal

__all__ = (
    "CardKind",
    "Company",
    "CompanyStatus",
    "ElementsAnswer",
    "IdentitySource",
    "Outage",
    "PersonElements",
    "within",
)

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

CardKind = Literal["class_1", "class_2", "class_3", "credit", ""]
CompanyStatus = Literal["in_business", "suspended", "revoked", "dissolved"]


class Outage(Exception):
    """The other side cannot answer now; nothing is known about what was asked.

    ``reason`` is a code: ``timeout`` or ``down``.
    """

    def __init__(self, reason: Literal["timeout", "down"]) -> None:
        super().__init__(reason)
        self.reason = reason


class PersonElements(Personal, frozen=True, kw_only=True):
    """What a person claims; an empty string is not asked about."""

    name: str
    id_number: str
    phone: str = ""
    card_number: str = ""


class ElementsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether all that was asked belongs to one person.

    ``mismatched`` names the fields that do not, as far as the source tells. ``card_kind`` and
    ``card_bank`` are what it knows of the card, empty when none was asked about.
    """

    matched: bool
    mismatched: tuple[str, ...] = ()
    card_kind: CardKind = ""
    card_bank: str = ""


class Company(Personal, frozen=True, kw_only=True):
    """A company as the registry has it."""

    credit_code: str
    name: str
    status: CompanyStatus
    representative_name: str


class IdentitySource(Protocol):
    """The port. Both methods are questions and may be asked again at any time."""

    async def check_person(self, elements: PersonElements, *, deadline_s: float) -> ElementsAnswer:
        """Say whether the elements belong together; raise :class:`Outage` when it cannot."""

    async def find_company(self, credit_code: str, *, deadline_s: float) -> Company | None:
        """Return what the registry has under the code, or None; raise :class:`Outage`."""


async def within(deadline_s: float, question: Callable[[], Awaitable[_T]]) -> _T:
    """Return the answer to a question, or raise :class:`Outage` when there is none in time.

    Adapters are told the deadline; this holds also for one that does not keep it. Whatever else one
    raises is an outage as well, and told without its message, which may quote a person's data.
    """
    try:
        with anyio.fail_after(deadline_s):
            return await question()
    except Outage:
        raise
    except TimeoutError:
        raise Outage("timeout") from None
    except Exception as error:  # noqa: BLE001 - code of others, whose exceptions nobody knows
        _log.error("a source or provider failed: %s", without_message(error))
        raise Outage("down") from None
