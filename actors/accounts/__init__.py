"""Accounts (账户)."""

from actors.accounts.account_actor import ACCOUNT_TABLE, AccountActor
from actors.accounts.query_actor import QueryActor

__all__ = ("ACCOUNT_TABLE", "AccountActor", "QueryActor")
