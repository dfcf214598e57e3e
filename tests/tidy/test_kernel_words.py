"""The kernel holds no finance: not in its names, not in its strings, not in its comments."""

import re

from tests.tidy.source import modules

# Singular; plurals are found as well. Words that also mean something in computing, such as
# transaction, journal and transfer, are not here.
_LIST = """
account amount asset bank balance cent cny credit creditor currency customer debit deposit fee fen
finance fund invoice ledger loan merchant money overdraft pay payee payer payment price purchase
refund renminbi rmb settlement tariff wallet wealth withdrawal yuan
parking plate vehicle
"""
_FINANCE = frozenset(_LIST.split())

# Identifiers fall apart at underscores and at capitals: `open_account` and `NewAccount`.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def _words(line: str) -> set[str]:
    words = {word.lower() for word in _WORD.findall(line)}
    return words | {word.removesuffix("s") for word in words}


def test_the_kernel_speaks_no_finance() -> None:
    """No line of the kernel has a word of finance or of a scenario in it."""
    offenders = [
        f"{module.path}:{number}: {', '.join(sorted(_words(line) & _FINANCE))}"
        for module in modules("kernel")
        for number, line in enumerate(module.text.splitlines(), 1)
        if _words(line) & _FINANCE
    ]
    assert offenders == [], "\n".join(offenders)


def test_the_search_finds_words_in_every_form() -> None:
    """The check itself sees a word in snake case, in camel case, as a plural and in prose."""
    for line in ("open_account()", "class NewAccount:", "ACCOUNTS = 1", '"the account"', "# Pay"):
        assert _words(line) & _FINANCE, line
    assert not _words("accounting payload discount banker assets_") & (_FINANCE - {"asset"})
