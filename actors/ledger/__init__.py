"""The double-entry ledger that the journal keeps."""

from actors.ledger.book import LedgerBook, LedgerStatistics

__all__ = ("LedgerBook", "LedgerStatistics")
