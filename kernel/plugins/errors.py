"""What can go wrong with a plugin, and with which code of ``schemas.errors`` it is answered.

::

    Rejected                     what an operator asked for is not possible as it stands
    ├── ManifestInvalid              invalid_field
    ├── ArchiveInvalid               invalid_field
    ├── ArchiveTooLarge              message_too_large
    ├── SignatureRefused             forbidden
    ├── GenerationUnknown            not_found
    ├── LoadFailed                   invalid_state
    │   └── ImportRefused
    ├── SelfTestFailed               invalid_state
    ├── TransitionRefused            invalid_state
    ├── DrainIncomplete              invalid_state
    └── StillAlive                   invalid_state
    Unavailable                  the message was not done and may be sent again
    ├── NothingServes                not_ready
    ├── PluginPaused                 not_ready
    ├── DocumentTooNew               not_ready
    ├── TooManyTurns                 busy
    └── PackUnavailable              the pack's own fault, nothing was committed
        ├── TurnTimedOut             not_ready
        ├── TurnCutOff               not_ready
        ├── TurnFailed               not_ready
        └── MigrationFailed          not_ready
    PackFault                    a bug of the pack, handled like any crash of an actor
    ├── CapabilityRefused
    └── DocumentTooLarge

No code of its own crosses the wire: the table of codes stays the one in ``schemas.errors``.
"""

from schemas.errors import (
    Busy,
    Forbidden,
    InvalidField,
    InvalidState,
    MessageTooLarge,
    NotFound,
    NotReady,
    Rejected,
    Unavailable,
)

__all__ = (
    "ArchiveInvalid",
    "ArchiveTooLarge",
    "CapabilityRefused",
    "DocumentTooLarge",
    "DocumentTooNew",
    "DrainIncomplete",
    "GenerationUnknown",
    "ImportRefused",
    "LoadFailed",
    "ManifestInvalid",
    "MigrationFailed",
    "NothingServes",
    "PackFault",
    "PackUnavailable",
    "PluginPaused",
    "SelfTestFailed",
    "SignatureRefused",
    "StillAlive",
    "TooManyTurns",
    "TransitionRefused",
    "TurnCutOff",
    "TurnFailed",
    "TurnTimedOut",
    "is_fault",
)


class ManifestInvalid(Rejected):
    """The manifest says something that is not allowed; ``field`` names where."""

    code = InvalidField.code


class ArchiveInvalid(Rejected):
    """The bytes or the folder are not an archive of a plugin."""

    code = InvalidField.code


class ArchiveTooLarge(Rejected):
    """An archive has more bytes or files than are taken."""

    code = MessageTooLarge.code


class SignatureRefused(Rejected):
    """The archive is not signed by a key that is trusted here."""

    code = Forbidden.code


class GenerationUnknown(Rejected):
    """There is no such plugin, or no such generation of it."""

    code = NotFound.code


class LoadFailed(Rejected):
    """The code of the archive does not load."""

    code = InvalidState.code


class ImportRefused(LoadFailed):
    """The code imports a module that packs may not see."""


class SelfTestFailed(Rejected):
    """The generation did not pass its self-test in time."""

    code = InvalidState.code


class TransitionRefused(Rejected):
    """The generation is not in a state that allows this step."""

    code = InvalidState.code


class DrainIncomplete(Rejected):
    """Work was still under way when the time for draining was over."""

    code = InvalidState.code


class StillAlive(Rejected):
    """The generation was unloaded, and something still holds it; the message says what."""

    code = InvalidState.code


class NothingServes(Unavailable):
    """No generation of the plugin is promoted."""

    code = NotReady.code


class PluginPaused(Unavailable):
    """An operator paused the plugin."""

    code = NotReady.code


class DocumentTooNew(Unavailable):
    """A document was written by a newer version, and none that could migrate it is loaded."""

    code = NotReady.code


class TooManyTurns(Unavailable):
    """As many messages are in work as the manifest allows; nothing was begun."""

    code = Busy.code


class PackUnavailable(Unavailable):
    """The pack failed, nothing was committed, and another version may do better."""

    code = NotReady.code


class TurnTimedOut(PackUnavailable):
    """The handler took longer than the manifest allows and was cancelled."""


class TurnCutOff(PackUnavailable):
    """The handler was cancelled because its generation had to stop."""


class TurnFailed(PackUnavailable):
    """The handler crashed, in a version that has yet to prove itself or for nobody who waits.

    Another version may do better, so the message is not given up.
    """


class MigrationFailed(PackUnavailable):
    """The pack could not migrate a document, which is left as it was."""


class PackFault(Exception):
    """A bug of the pack: the message is tried once more, then kept as a dead letter."""


class CapabilityRefused(PackFault):
    """The pack asked for something that its manifest does not ask for."""


class DocumentTooLarge(PackFault):
    """The pack wrote a document larger than its manifest allows."""


def is_fault(error: BaseException | None) -> bool:
    """Tell whether what a turn ended with is the pack's fault.

    A rejection is part of the protocol, a store out of reach is nobody's fault here, and a
    cancellation comes from outside.
    """
    if isinstance(error, Unavailable):
        return isinstance(error, PackUnavailable)
    return isinstance(error, Exception) and not isinstance(error, Rejected)
