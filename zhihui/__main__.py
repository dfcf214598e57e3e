"""Run the command line as ``python -m zhihui``."""

from zhihui.cli import main

__all__ = ()

main()
