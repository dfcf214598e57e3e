"""The machine that makes the load, as every result states it."""

import os
import platform
from importlib.metadata import version

import psutil

from loadtest.harness.result import GeneratorMachine
from loadtest.machine import processor

__all__ = ("describe_generator",)

_PACKAGES = ("zhihui", "nats-py", "uvloop", "msgspec")


def describe_generator() -> GeneratorMachine:
    """Describe this machine."""
    return GeneratorMachine(
        processor=processor(),
        cores=os.cpu_count() or 0,
        memory_gib=psutil.virtual_memory().total / 2**30,
        system=platform.platform(),
        load_average=os.getloadavg()[0],
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
    )
