"""What the actors of customers share on a node: the vault, the source and the provider.

Settings, by name:

ZHIHUI_DATA_KEYS          the file with the keyring; without it these operations answer `not_ready`
ZHIHUI_IDENTITY_SOURCE    ``module:function`` that makes the identity source; else the sandbox's
ZHIHUI_IDENTITY_REFERENCE the file of the sandbox's source; else the bundled one
ZHIHUI_VERIFICATION       ``module:function`` that makes the provider; else the sandbox's

The functions get the settings and the clock.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from actors.customers.identity_source import IdentitySource
from actors.customers.keyring import Keyring, KeyringFile
from actors.customers.reference_source import BUNDLED_REFERENCE, ReferenceSource, read_reference
from actors.customers.vault import KeyMissing, Vault
from actors.customers.verification import SandboxVerification, VerificationProvider
from actors.parts import Parts
from kernel.clock import Clock
from kernel.store import Query, Store, Where
from schemas.errors import NotReady

__all__ = (
    "DATA_KEYS_SETTING",
    "IDENTITY_REFERENCE_SETTING",
    "IDENTITY_SOURCE_SETTING",
    "VERIFICATION_SETTING",
    "Services",
    "make_services",
    "read_personal",
)

DATA_KEYS_SETTING = "ZHIHUI_DATA_KEYS"
IDENTITY_SOURCE_SETTING = "ZHIHUI_IDENTITY_SOURCE"
IDENTITY_REFERENCE_SETTING = "ZHIHUI_IDENTITY_REFERENCE"
VERIFICATION_SETTING = "ZHIHUI_VERIFICATION"


class Services(NamedTuple):
    """What is shared; one of each for a node."""

    vault: Vault
    source: IdentitySource
    provider: VerificationProvider


def make_services(parts: Parts) -> Services:
    """Return the services as the settings say; raise :class:`ValueError` for one that is wrong."""
    settings, clock = parts.settings, parts.clock
    path = settings.get(DATA_KEYS_SETTING, "")
    keyring = KeyringFile(Path(path)).keyring if path else _no_keys
    source = settings.get(IDENTITY_SOURCE_SETTING, "")
    provider = settings.get(VERIFICATION_SETTING, "")
    return Services(
        Vault(keyring, parts.randomness),
        _made(source, settings, clock) if source else _reference_source(settings, clock),
        _made(provider, settings, clock) if provider else SandboxVerification(clock),
    )


def _no_keys() -> Keyring:
    raise NotReady(f"there are no keys for customers' data: {DATA_KEYS_SETTING} names their file")


def _reference_source(settings: Mapping[str, str], clock: Clock) -> ReferenceSource:
    path = Path(settings.get(IDENTITY_REFERENCE_SETTING) or BUNDLED_REFERENCE)
    return ReferenceSource(read_reference(path), clock)


def _made(named: str, settings: Mapping[str, str], clock: Clock) -> Any:
    module, colon, function = named.partition(":")
    if not colon:
        raise ValueError(f"{named!r} is not of the form module:function")
    return getattr(import_module(module), function)(settings, clock)


async def read_personal(
    store: Store, vault: Vault, owner: str, fields: Iterable[str]
) -> dict[str, str]:
    """Return plain values of an owner; raise :class:`NotReady` while their key is missing here."""
    wanted = set(fields)
    rows = await store.fetch(
        Query(
            table="personal_data",
            columns=("field", "sealed"),
            where=(Where("owner_id", "=", owner), Where("field", "in", sorted(wanted))),
        )
    )
    try:
        found = {field: vault.open(sealed, owner=owner, field=field) for field, sealed in rows}
    except KeyMissing as error:
        # Brought back, or brought to this node, it opens: so whoever asks may ask again.
        raise NotReady(f"the data cannot be opened here: {error}") from error
    missing = wanted.difference(found)
    assert not missing, f"{owner} has no {', '.join(sorted(missing))}"
    return found
