"""The demo: sample days of scenarios and a city's year through the service, every outcome checked.

``zhihui.demo.days`` is what a sample day of any scenario pack is, and ``zhihui.demo.city`` the
story of the bank's own services.
"""

from zhihui.demo.run import playable, run_demo

__all__ = ("playable", "run_demo")
