"""``zhihui call``: one request over NATS, as any client would send it."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from zhihui.commands.addresses import nats_url_or_running
from zhihui.commands.console import DataDir, NatsUrl, bad_input, run_async
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR

__all__ = ("EXAMPLES", "call")

_CONNECT_MARGIN_S = 5.0

EXAMPLES = """\
```
zhihui call city-park account.open '{"request_id":"r-1","holder":"Li Lei"}'
zhihui call city-park account.get '{"account_id":"…"}'
echo '{"account_id":"…"}' | zhihui call city-park account.get -
```
"""


def call(
    app: Annotated[str, typer.Argument(help="The scenario backend that asks, such as city-park.")],
    operation: Annotated[
        str, typer.Argument(metavar="SERVICE.VERB", help="What to do, such as account.open.")
    ],
    body: Annotated[
        str, typer.Argument(metavar="JSON", help="The request's fields; - reads them from input.")
    ] = "{}",
    nats_url: NatsUrl = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the answer.")] = 10.0,
    credentials: Annotated[
        Path | None,
        typer.Option(
            envvar="ZHIHUI_CREDENTIALS",
            dir_okay=False,
            help="The app's secret key, as `zhihui app add` wrote it; else as the operator.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Send one request and print its result as JSON.

    A rejected request prints its error as JSON to the error output and exits with 1; input that is
    no request at all exits with 2.
    """
    service, verb = _parsed_operation(app, operation)
    fields = _parsed_body(sys.stdin.read() if body == "-" else body)
    url = nats_url_or_running(nats_url, data_dir)
    if not run_async(lambda: _run(app, service, verb, fields, url, credentials, timeout)):
        raise typer.Exit(1)


def _parsed_operation(app: str, operation: str) -> tuple[str, str]:
    from schemas.errors import UnknownOperation
    from schemas.subjects import parse_request_subject

    service, _, verb = operation.partition(".")
    if not service or not verb or "." in verb:
        raise bad_input(
            f"{operation!r} is not of the form SERVICE.VERB, such as account.open or payment.get"
        )
    try:
        parse_request_subject(f"zh.v1.{app}.{operation}")
    except UnknownOperation:
        raise bad_input(
            f"{app!r} cannot be an app: lower-case letters, digits, - and _, 32 at most"
        ) from None
    if any(sign in operation for sign in " \t\r\n*>"):
        raise bad_input(f"{operation!r} contains a sign that no service or verb may have")
    return service, verb


def _parsed_body(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError as error:
        raise bad_input(
            f"the request is not JSON: {error}. Quote it for the shell: '{{\"field\": 1}}'"
        ) from None
    if not isinstance(body, dict):
        raise bad_input(f"the request must be a JSON object, not {text.strip()[:60]}")
    return body


async def _run(
    app: str,
    service: str,
    verb: str,
    fields: dict[str, Any],
    url: str,
    credentials: Path | None,
    timeout_s: float,
) -> bool:
    import anyio
    import msgspec
    import nats.errors

    from schemas.errors import DeadlineExceeded, ZhihuiError
    from zhihui.client import Client
    from zhihui.embedded.servers import without_password
    from zhihui.errors import ServerUnreachable

    try:
        # The client keeps the time itself; connecting and closing are what this bounds.
        with anyio.fail_after(timeout_s + _CONNECT_MARGIN_S):
            async with Client(
                app=app, url=url, credentials=credentials, timeout_s=timeout_s
            ) as client:
                result = await client.call(service, verb, fields)
    except ZhihuiError as error:
        _print_json(msgspec.to_builtins(error.body()), to_errors=True)
        return False
    except TimeoutError:
        late = DeadlineExceeded(
            f"no answer within {timeout_s:g} s. It may have been done all the same: send it again "
            "with the same request_id."
        )
        _print_json(msgspec.to_builtins(late.body()), to_errors=True)
        return False
    except (OSError, nats.errors.Error) as error:
        raise ServerUnreachable(
            f"NATS at {without_password(url)} does not answer: {str(error) or type(error).__name__}"
        ) from None
    _print_json(msgspec.to_builtins(result), to_errors=False)
    return True


def _print_json(value: object, *, to_errors: bool) -> None:
    # Plain text on purpose: it is meant for other programs as much as for people.
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2), err=to_errors)
