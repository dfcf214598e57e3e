"""``zhihui channels``: the simulated channels, as a process of their own."""

from pathlib import Path
from typing import Annotated

import typer

from zhihui.commands.console import bad_input, run_async

__all__ = ("channels", "simulate")

channels = typer.Typer(
    name="channels",
    help="Payment channels: run simulated ones beside the service.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@channels.callback()
def _channels() -> None:
    pass


@channels.command()
def simulate(
    profile: Annotated[
        str,
        typer.Option(
            help="How the channels behave: calm, worst, shifting, plain, or a TOML or JSON file."
        ),
    ] = "calm",
    data_dir: Annotated[
        Path,
        typer.Option("--data-dir", file_okay=False, help="Where the keys and the books are kept."),
    ] = Path(".zhihui/channels"),
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = 0,
    callbacks_port: Annotated[
        int,
        typer.Option(
            min=0, max=65_535, help="Port on which the node takes callbacks; 0 has it take none."
        ),
    ] = 0,
    timeout: Annotated[
        float, typer.Option(min=0.05, help="Seconds that the node waits for an answer.")
    ] = 5.0,
    order_expires: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Seconds that an order lives, so that tests need not wait for minutes.",
            show_default="each channel's own",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Another seed than the profile's.", show_default=False)
    ] = None,
) -> None:
    """Run all five channels on 127.0.0.1, with their own books, until Ctrl-C.

    It writes one line of JSON to its output when it answers. Start a node with `ZHIHUI_CHANNELS`
    set to the `channels_file` of that line, and it pays through these channels.
    """
    import msgspec

    from zhihui.channel_simulator.profile import ProfileRefused, read_profile
    from zhihui.channel_simulator.profiles import PROFILES
    from zhihui.channel_simulator.run import run_simulator
    from zhihui.channel_simulator.server import SimulatorConfig

    chosen = PROFILES.get(profile)
    if chosen is None:
        try:
            chosen = read_profile(Path(profile))
        except ProfileRefused as error:
            raise bad_input(f"{error}. The profiles with a name: {', '.join(PROFILES)}") from None
    if seed is not None:
        chosen = msgspec.structs.replace(chosen, seed=seed)
    config = SimulatorConfig(
        folder=data_dir,
        port=port,
        callbacks_url=f"http://127.0.0.1:{callbacks_port}" if callbacks_port else "",
        callbacks_port=callbacks_port,
        timeout_s=timeout,
        order_expires_s=order_expires,
    )
    run_async(lambda: run_simulator(config, chosen))
