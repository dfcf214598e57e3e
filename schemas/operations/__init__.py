"""The operations of the bank, one module for each service."""
