"""The demo: a whole day of a city's car parks through the service, every outcome checked."""

from zhihui.demo.run import run_demo

__all__ = ("run_demo",)
