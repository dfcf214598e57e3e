"""``zhihui events``: what the service tells its backends, as it comes."""

import re
from pathlib import Path
from typing import Annotated

import typer

from zhihui.commands.addresses import nats_url_or_running
from zhihui.commands.console import DataDir, NatsUrl, bad_input, run_async
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR

__all__ = ("events", "tail")

events = typer.Typer(name="events", help="Watch the events of the service.", no_args_is_help=True)

_LAST = 10
_DATA_SHOWN = 100
# One or two tokens of a subject, `*` for any.
_TYPE = re.compile(r"(?:[A-Za-z0-9_-]+|\*)(?:\.(?:[A-Za-z0-9_-]+|\*))?")


@events.callback()
def _group() -> None:
    # Without it a group of one command would be that command.
    pass


@events.command()
def tail(
    app: Annotated[str, typer.Option(help="Only events of this app.", show_default=False)] = "",
    type_: Annotated[
        str,
        typer.Option(
            "--type",
            help="Only events of this type, such as payment.succeeded, or of an entity, such as "
            "payment.",
            show_default=False,
        ),
    ] = "",
    since: Annotated[
        int | None,
        typer.Option(min=0, help="Begin after the event of this number, the end of its id."),
    ] = None,
    last: Annotated[
        int | None, typer.Option(min=0, help="Begin so many events before the end; 10 if not said.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Begin at the first event.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Stay for what comes, until Ctrl-C.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each event as a line of JSON.")
    ] = False,
    nats_url: NatsUrl = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print events from the stream, one a line: time, app, type, subject, data."""
    from schemas.identifiers import APP_PATTERN

    if app and not re.match(APP_PATTERN, app):
        raise bad_input(
            f"{app!r} cannot be an app: lower-case letters, digits, - and _, 32 at most"
        )
    if type_ and not _TYPE.fullmatch(type_):
        raise bad_input(f"{type_!r} is no type of events, such as payment.succeeded or payment")
    if (since is not None) + (last is not None) + everything > 1:
        raise bad_input("take one of --since, --last and --all")
    if everything:
        since = 0
    begin = (since, _LAST if last is None else last)
    run_async(lambda: _run(app, type_, begin, follow, as_json, nats_url, data_dir))


async def _run(
    app: str,
    type_: str,
    begin: tuple[int | None, int],
    follow: bool,
    as_json: bool,
    nats_url: str,
    data_dir: Path,
) -> None:
    import anyio

    from kernel.clock import SystemClock
    from kernel.jetstream import JetStreams
    from kernel.nats_bus import NatsBus
    from kernel.randomness import IdFactory, SystemRandomness
    from schemas.errors import ZhihuiError
    from zhihui.access.settings import operator_security
    from zhihui.commands.signals import cancel_on_signal
    from zhihui.errors import ServerUnreachable, ungrouped
    from zhihui.event_tail import EventTail, events_of

    url = nats_url_or_running(nats_url, data_dir)
    clock = SystemClock()
    ids = IdFactory(clock, SystemRandomness())
    name = ids.new("tail")
    try:
        with ungrouped():
            async with (
                NatsBus(url, name=name, clock=clock, security=operator_security(url)) as bus,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(cancel_on_signal, tasks.cancel_scope)
                place = EventTail(JetStreams(name, bus, ids), clock, events_of(app, type_))
                since, last = begin
                if since is None:
                    await place.last(last)
                else:
                    await place.since(since)
                async for message in place.events(follow=follow):
                    typer.echo(_line(message.body, as_json))
                tasks.cancel_scope.cancel()
    except ZhihuiError as error:
        raise ServerUnreachable(error.message) from error


def _line(body: bytes, as_json: bool) -> str:
    import msgspec

    from schemas.events import EVENT_TYPE_PREFIX, CloudEvent

    text = body.decode(errors="replace")
    if as_json:
        return text
    try:
        event = msgspec.json.decode(body, type=CloudEvent)
    except msgspec.MsgspecError:
        # Somebody else's message in our stream is shown all the same.
        return text
    data = bytes(event.data).decode(errors="replace")
    if len(data) > _DATA_SHOWN:
        data = f"{data[:_DATA_SHOWN]}…"
    time = event.time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    app = event.source.rsplit("/", 1)[-1]
    return f"{time}  {app}  {event.type.removeprefix(EVENT_TYPE_PREFIX)}  {event.subject}  {data}"
