"""Wire contracts: messages, error codes, subjects, money. Imports nothing of the other rooms."""
