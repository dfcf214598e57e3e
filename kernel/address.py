"""Addresses of servers: who is named in them, and how to show them without what is secret."""

import re
from urllib.parse import urlsplit, urlunsplit

__all__ = ("has_user", "without_password", "without_user")

_SCHEME = re.compile(r"[A-Za-z0-9+.-]+://")


def has_user(url: str) -> bool:
    """Tell whether an address names a user."""
    return "@" in url


def without_password(address: str) -> str:
    """Return an address, of whatever kind, without its password, for people and logs."""
    scheme = _SCHEME.match(address)
    begin = scheme.end() if scheme else 0
    user, at, server = address[begin:].rpartition("@")
    return f"{address[:begin]}{user.partition(':')[0]}{at}{server}"


def without_user(url: str) -> str:
    """Return an address without user and password."""
    return ",".join(_without_user(one.strip()) for one in url.split(","))


def _without_user(url: str) -> str:
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
