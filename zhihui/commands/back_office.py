"""The way of the back office's commands to the service."""

import os
from pathlib import Path

from schemas.subjects import OPERATOR_APP
from zhihui.access.settings import CREDENTIALS_VARIABLE
from zhihui.client import Client
from zhihui.commands.addresses import nats_url_or_running

__all__ = ("back_office",)


def back_office(nats_url: str, data_dir: Path) -> Client:
    """Return a client of the back office, the app ``ops``; use it as an async context manager.

    On the embedded server no key is needed; elsewhere ``ZHIHUI_CREDENTIALS`` names the file with
    the seed that `zhihui app add ops` wrote.
    """
    credentials = os.environ.get(CREDENTIALS_VARIABLE)
    return Client(
        app=OPERATOR_APP,
        url=nats_url_or_running(nats_url, data_dir),
        credentials=None if credentials is None else Path(credentials),
    )
