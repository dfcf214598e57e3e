"""The machine that makes the load, as every result states it."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

from loadtest.harness.result import GeneratorMachine

__all__ = ("describe_generator",)

_PACKAGES = ("zhihui", "nats-py", "uvloop", "msgspec")


def describe_generator() -> GeneratorMachine:
    """Describe this machine."""
    return GeneratorMachine(
        processor=_processor(),
        cores=os.cpu_count() or 0,
        memory_gib=psutil.virtual_memory().total / 2**30,
        system=platform.platform(),
        load_average=os.getloadavg()[0],
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
