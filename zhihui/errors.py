"""What can keep the program from starting, told to the person at the terminal.

These never cross the wire: errors of requests stand in :mod:`schemas.errors`.

::

    SetupError
    ├── AlreadyRunning       another process uses the same data directory
    ├── DataDirUnusable      the data directory cannot be used as it is
    ├── ServerFailed         an embedded server did not start, or died
    ├── ServerUnreachable    a server given by its URL does not answer
    ├── RootRefused          Postgres cannot be run by this user
    ├── NodeFailed           a node did not become ready, or keeps dying
    ├── NothingRuns          a command needs a running service and finds none
    ├── AppRefused           an app cannot be added, revoked or given a key as asked
    ├── LetterUnknown        there is no such dead letter
    └── MigrationFailed      the database's schema cannot be brought up to date
        └── DatabaseTooNew   it was made by a newer version of the program
"""

import contextlib
from collections.abc import Iterator

__all__ = (
    "AlreadyRunning",
    "AppRefused",
    "DataDirUnusable",
    "DatabaseTooNew",
    "LetterUnknown",
    "MigrationFailed",
    "NodeFailed",
    "NothingRuns",
    "RootRefused",
    "ServerFailed",
    "ServerUnreachable",
    "SetupError",
    "ungrouped",
)


class SetupError(Exception):
    """Root of what keeps the program from starting; the message says what to do."""


class AlreadyRunning(SetupError):
    """Another process uses the same data directory."""


class DataDirUnusable(SetupError):
    """The data directory cannot be used as it is."""


class ServerFailed(SetupError):
    """An embedded server did not start, or died."""


class ServerUnreachable(SetupError):
    """A server given by its URL does not answer."""


class RootRefused(SetupError):
    """Postgres refuses to run as root and no way around it works on this machine."""


class NodeFailed(SetupError):
    """A node did not become ready, or keeps dying."""


class NothingRuns(SetupError):
    """A command needs a running service and finds none."""


class AppRefused(SetupError):
    """An app cannot be added, revoked or given a key as asked."""


class LetterUnknown(SetupError):
    """There is no such dead letter."""


class MigrationFailed(SetupError):
    """The database's schema cannot be brought up to date."""


class DatabaseTooNew(MigrationFailed):
    """The database was made by a newer version of the program."""


@contextlib.contextmanager
def ungrouped() -> Iterator[None]:
    """Raise a single error as itself that a task group, or several in each other, wrapped.

    Several errors stay a group: none of them may be lost.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if error is group:
            raise
        raise error from error.__cause__
