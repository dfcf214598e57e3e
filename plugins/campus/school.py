"""The documents of a school and of a guardian."""

import msgspec

from .roster_messages import Accounts, Officer, SchoolClass, Term

__all__ = ("Guardian", "School")


class School(msgspec.Struct, frozen=True, kw_only=True):
    """A school. ``revision`` counts the parts of the roster that were taken over."""

    school_id: str
    accounts: Accounts
    officers: tuple[Officer, ...]
    zone: str
    remind_every_days: int
    terms: tuple[Term, ...] = ()
    classes: tuple[SchoolClass, ...] = ()
    revision: int = 0

    def officer(self, officer_id: str) -> Officer | None:
        """Return the officer of that name, or None."""
        return next((one for one in self.officers if one.officer_id == officer_id), None)

    def has_class(self, class_id: str) -> bool:
        """Tell whether the roster has this class."""
        return any(one.class_id == class_id for one in self.classes)

    def has_term(self, term_id: str) -> bool:
        """Tell whether the roster has this term."""
        return any(one.term_id == term_id for one in self.terms)


class Guardian(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who pays, and from which account."""

    guardian_id: str
    account_id: str
