"""The version of the service."""

__all__ = ("VERSION",)

VERSION = "0.1.0"
