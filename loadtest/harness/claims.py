"""What a scenario expects of every answer, counted."""

import msgspec

__all__ = ("CLAIMS_MAX", "ClaimCount", "Claims", "add_claims")

# Claims are sentences of the scenario's author; more than this are made up at run time.
CLAIMS_MAX = 100


class ClaimCount(msgspec.Struct, frozen=True, kw_only=True):
    """How often a claim was checked and broken; ``detail`` is of the first time it was."""

    claim: str
    checked: int
    broken: int
    detail: str = ""


class Claims:
    """All claims of one process."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._details: dict[str, str] = {}

    def check(self, *, ok: bool, claim: str, detail: str = "") -> None:
        """Count that a claim was checked."""
        if claim not in self._counts and len(self._counts) >= CLAIMS_MAX:
            claim = "(other claims)"
        count = self._counts.setdefault(claim, [0, 0])
        count[0] += 1
        if not ok:
            count[1] += 1
            self._details.setdefault(claim, detail)

    def read(self) -> tuple[ClaimCount, ...]:
        """Return all counts."""
        return tuple(
            ClaimCount(
                claim=claim, checked=checked, broken=broken, detail=self._details.get(claim, "")
            )
            for claim, (checked, broken) in self._counts.items()
        )


def add_claims(parts: tuple[tuple[ClaimCount, ...], ...]) -> tuple[ClaimCount, ...]:
    """Return the claims of several processes together."""
    sums: dict[str, ClaimCount] = {}
    for one in (claim for part in parts for claim in part):
        before = sums.get(one.claim, ClaimCount(claim=one.claim, checked=0, broken=0))
        sums[one.claim] = ClaimCount(
            claim=one.claim,
            checked=before.checked + one.checked,
            broken=before.broken + one.broken,
            detail=before.detail or one.detail,
        )
    return tuple(sums.values())
