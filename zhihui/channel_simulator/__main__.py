"""``python -m zhihui.channel_simulator``: the same as ``zhihui channels simulate``."""

import typer

from zhihui.commands.channels import simulate

__all__ = ()

if __name__ == "__main__":
    typer.run(simulate)
