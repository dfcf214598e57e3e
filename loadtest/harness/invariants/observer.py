"""The books in the verdict of a run."""

from loadtest.harness.control import Findings, Observer, RunControl
from loadtest.harness.invariants.ledger_sums import LedgerRun, Recorded, Source
from loadtest.harness.invariants.verdict import InvariantReport, check_invariants, ledger_position
from loadtest.harness.result import InvariantVerdict, RunResult

__all__ = ("BooksObserver",)


class BooksObserver(Observer):
    """Checks the ledger when a run is over: exactly once always, all else unless ``audit`` is off.

    ``sources`` are what acknowledged requests are held against. Requests of which nobody knows what
    became of them, and which are not listed either, make a note: more may be stored than was
    acknowledged, by as many.
    """

    def __init__(
        self, postgres_dsn: str, *, app: str, sources: tuple[Source, ...], audit: bool = True
    ) -> None:
        self._dsn = postgres_dsn
        self._app = app
        self._sources = sources
        self._audit = audit
        self._from_seq = 0
        self._run_id = ""
        self.report: InvariantReport | None = None

    async def on_start(self, control: RunControl) -> None:
        """Note where the ledger is before the load begins."""
        self._run_id = control.run_id
        self._from_seq = await ledger_position(self._dsn)

    async def on_drained(self, draft: RunResult) -> Findings:
        """Check the books."""
        resolution = draft.resolution
        self.report = report = await check_invariants(
            self._dsn,
            LedgerRun(app=self._app, id_prefix=f"{self._run_id}-", from_seq=self._from_seq),
            key=bytes.fromhex(draft.plan.tally_key),
            acknowledged=draft.acknowledged + resolution.acknowledged,
            unknown=[Recorded(*one) for one in resolution.unknown_ids],
            sources=self._sources,
            audit=self._audit,
        )
        return Findings(
            invariants=tuple(
                InvariantVerdict(claim=one.claim, ok=one.ok, detail=one.detail)
                for one in report.findings
            )
        )
