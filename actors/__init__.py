"""The bank: accounts, payments, the ledger, and the host of scenario packs."""
