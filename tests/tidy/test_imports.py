"""Imports point down only: schemas ← kernel ← actors, and packs see the plugin API."""

import pytest

from tests.tidy.source import ROOMS, Module, imports, modules

# Room → what it may import of ours, beside itself.
_ALLOWED = {
    "schemas": (),
    "kernel": ("schemas",),
    "actors": ("kernel", "schemas"),
    "plugins": ("zhihui.plugin", "schemas"),
    # From outside, as anyone would, and reading the database for the audit; it starts the servers
    # it measures.
    "loadtest": ("zhihui.Client", "zhihui.client", "zhihui.audit", "zhihui.embedded", "schemas"),
    # The front door puts the rooms together.
    "zhihui": ("schemas", "kernel", "actors", "plugins", "loadtest"),
}

# Contracts of the bank, of which the kernel must know nothing.
_BANK_CONTRACTS = (
    "schemas.accounts",
    "schemas.bank_events",
    "schemas.catalogue",
    "schemas.holds",
    "schemas.ledger",
    "schemas.money",
    "schemas.pay",
    "schemas.payments",
)


def _is_in(target: str, places: tuple[str, ...]) -> bool:
    return any(target == place or target.startswith(f"{place}.") for place in places)


def _ours(module: Module) -> list[tuple[int, str]]:
    return [(line, target) for line, target in imports(module) if _is_in(target, (*ROOMS, "tests"))]


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_what_is_below_them(room: str) -> None:
    """No module of a room imports from a room that stands above it or beside it."""
    offenders = [
        f"{module.path}:{line} imports {target}"
        for module in modules(room)
        for line, target in _ours(module)
        if not _is_in(target, (*_ALLOWED[room], room))
    ]
    assert offenders == [], "\n".join(offenders)


def test_the_kernel_imports_no_contract_of_the_bank() -> None:
    """The kernel uses the envelope and the errors, and no schema of money or accounts."""
    offenders = [
        f"{module.path}:{line} imports {target}"
        for module in modules("kernel")
        for line, target in _ours(module)
        if _is_in(target, _BANK_CONTRACTS)
    ]
    assert offenders == [], "\n".join(offenders)


def test_packs_do_not_import_each_other() -> None:
    """A pack imports itself and the plugin API, never another pack."""
    offenders = [
        f"{module.path}:{line} imports {target}"
        for module in modules("plugins")
        for line, target in _ours(module)
        if _is_in(target, ("plugins",))
        and not _is_in(target, (".".join(module.name.split(".")[:2]),))
    ]
    assert offenders == [], "\n".join(offenders)


def test_the_plugin_api_reaches_only_the_kernel_and_the_schemas() -> None:
    """What a pack imports does not pull in the bus, the actors or the front door."""
    offenders = [
        f"{module.path}:{line} imports {target}"
        for module in modules("zhihui")
        if module.name == "zhihui.plugin"
        for line, target in _ours(module)
        if not _is_in(target, ("kernel.pack", "schemas"))
    ]
    assert offenders == [], "\n".join(offenders)
