"""The load generator: a closed loop of payments in a process of its own.

``python -m loadtest.generator --url … --subject …`` keeps ``--in-flight`` requests under way, marks
the measured window with one line of JSON at its start and one at its end (so that the parent can
read the CPU times of processes there), waits for what is still under way, and prints a
:class:`~loadtest.plan.Result` as its last line.
"""

import asyncio
import gc
import json
import secrets
import sys
import time

import msgspec
import uvloop

from loadtest.histogram import Histogram
from loadtest.lean import NO_RESPONDERS, LeanClient
from loadtest.plan import Plan, Result, plan_from_arguments
from loadtest.workload import draw_payments

__all__ = ("ClosedLoop", "main")

# The bodies repeat after this many requests, under new request ids: enough for the tail of the
# distribution to be present, 15 MB, and drawn in a third of a second.
_BODIES = 1 << 17

# How often answers are checked for being overdue.
_SWEEP_S = 0.25

_CONNECT_TIMEOUT_S = 5.0

_OK = b'{"ok":true'

# Codes that no sender could have avoided, though trying again need not help.
_OUR_FAULT = frozenset({"internal", "no_responders"})


class _Tally:
    """What happened since it was made."""

    def __init__(self) -> None:
        self.ok = self.rejected = self.failed = self.busy = self.timed_out = 0
        self.codes: dict[str, int] = {}
        self.histogram = Histogram()
        self._cpu_s = time.process_time()
        self._started = time.perf_counter()

    def close(self) -> None:
        """Fix the length of the window."""
        self.seconds = time.perf_counter() - self._started
        self.cpu_s = time.process_time() - self._cpu_s


class ClosedLoop:
    """Keeps ``plan.in_flight`` requests under way until it is stopped."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        draws = draw_payments(plan.population, _BODIES, plan.seed)
        self._tails = [
            f'","payer":"{d.payer}","payee":"{d.payee}","amount_minor":{d.amount_minor}}}'.encode()
            for d in draws
        ]
        # Unique across runs on one database, whatever the seed.
        self._head = f'{{"request_id":"load-{secrets.token_hex(6)}-'.encode()
        # token → time of first sending; a dict keeps them in order, so the oldest is the first.
        self._waiting: dict[int, float] = {}
        self._paused: dict[int, float] = {}
        self._next = 0
        self._running = False
        self._lost: Exception | None = None
        self._client: LeanClient | None = None
        self._prepared = b""
        self._tally = _Tally()

    async def run(self) -> Result:
        """Warm up, measure, wait for the rest, and return the result."""
        plan = self._plan
        self._client = await LeanClient.connect(
            plan.url,
            on_reply=self._answered,
            on_lost=self._connection_lost,
            timeout_s=_CONNECT_TIMEOUT_S,
            allow_host=plan.allow_host,
        )
        self._prepared = self._client.prepare(plan.subject)
        self._running = True
        for _ in range(plan.in_flight):
            self._send_new()
        self._tally = warmup = _Tally()
        await self._watch(plan.warmup_s)
        self._tally = window = _Tally()
        _mark("measuring")
        await self._watch(plan.seconds)
        window.close()
        _mark("measured")
        self._tally = rest = _Tally()
        self._running = False
        await self._settle()
        self._client.close()
        return self._result(window, warmup, rest)

    async def _watch(self, seconds: float) -> None:
        """Let the loop run, and replace requests that nobody answered in time."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            await asyncio.sleep(min(left, _SWEEP_S))
            self._check_connection()
            self._drop_overdue()

    async def _settle(self) -> None:
        # Each request left has its own deadline, so this ends.
        while self._waiting or self._paused:
            await asyncio.sleep(0.01)
            self._check_connection()
            self._drop_overdue()

    def _drop_overdue(self) -> None:
        overdue = time.perf_counter() - self._plan.timeout_s
        for waiting in (self._waiting, self._paused):
            late = []
            for token, sent in waiting.items():
                if sent > overdue:
                    break
                late.append(token)
            for token in late:
                del waiting[token]
                self._tally.timed_out += 1
                self._send_new()

    def _send_new(self) -> None:
        if self._running:
            token = self._next
            self._next = token + 1
            self._waiting[token] = time.perf_counter()
            self._send(token)

    def _send(self, token: int) -> None:
        assert self._client is not None
        body = b"%b%d%b" % (self._head, token, self._tails[token & (_BODIES - 1)])
        self._client.send_nowait(self._prepared, token, body)

    def _answered(self, token: int, body: bytes) -> None:
        sent = self._waiting.pop(token, None)
        if sent is None:
            # It was counted as timed out already.
            return
        if body.startswith(_OK):
            tally = self._tally
            tally.ok += 1
            tally.histogram.record(time.perf_counter() - sent)
            self._send_new()
        else:
            self._answered_with_error(token, sent, body)

    def _answered_with_error(self, token: int, sent: float, body: bytes) -> None:
        if body == NO_RESPONDERS:
            code, retryable, retry_after_s = "no_responders", False, None
        else:
            error = json.loads(body)["error"]
            code, retryable = error["code"], error["retryable"]
            retry_after_s = error["retry_after_s"]
        tally = self._tally
        if code == "busy":
            tally.busy += 1
            self._paused[token] = sent
            asyncio.get_running_loop().call_later(retry_after_s or 0.1, self._resend, token)
            return
        tally.codes[code] = tally.codes.get(code, 0) + 1
        if retryable or code in _OUR_FAULT:
            tally.failed += 1
        else:
            tally.rejected += 1
            tally.histogram.record(time.perf_counter() - sent)
        self._send_new()

    def _resend(self, token: int) -> None:
        sent = self._paused.pop(token, None)
        if sent is not None:
            self._waiting[token] = sent
            self._send(token)

    def _connection_lost(self, error: Exception) -> None:
        self._lost = error

    def _check_connection(self) -> None:
        if self._lost is not None:
            raise self._lost

    def _result(self, window: _Tally, warmup: _Tally, rest: _Tally) -> Result:
        histogram = window.histogram
        total_ok = warmup.ok + window.ok + rest.ok
        total_rejected = warmup.rejected + window.rejected + rest.rejected
        return Result(
            seconds=window.seconds,
            warmup_s=self._plan.warmup_s,
            in_flight=self._plan.in_flight,
            ok=window.ok,
            rejected=window.rejected,
            busy=window.busy,
            failed=window.failed,
            timed_out=window.timed_out,
            total_sent=self._next,
            total_ok=total_ok,
            total_rejected=total_rejected,
            total_unknown=self._next - total_ok - total_rejected,
            per_second=window.ok / window.seconds,
            p50_ms=histogram.percentile_ms(50),
            p90_ms=histogram.percentile_ms(90),
            p99_ms=histogram.percentile_ms(99),
            max_ms=histogram.max_ms,
            cpu_us_each=window.cpu_s / max(window.ok, 1) * 1e6,
            codes=window.codes,
        )


def _mark(phase: str) -> None:
    _say(json.dumps({"phase": phase}))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments say and print the result."""
    loop = ClosedLoop(plan_from_arguments(sys.argv[1:] if arguments is None else arguments))
    # The bodies live to the end; without this every full collection walks over them.
    gc.freeze()
    result = uvloop.run(loop.run())
    _say(msgspec.json.encode(result).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
