"""The version of the service, and of the API that scenario packs are written against."""

__all__ = ("API_VERSION", "VERSION")

VERSION = "0.1.0"
API_VERSION = "0.1.0"
