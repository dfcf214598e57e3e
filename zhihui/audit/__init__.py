"""The audit: proves the ledger from the database alone, and names every row that breaks a rule."""

from zhihui.audit.report import (
    AuditReport,
    CheckResult,
    Holding,
    Offence,
    Totals,
    print_report,
)
from zhihui.audit.run import AUDIT_TIMEOUT_S, run_audit

__all__ = (
    "AUDIT_TIMEOUT_S",
    "AuditReport",
    "CheckResult",
    "Holding",
    "Offence",
    "Totals",
    "print_report",
    "run_audit",
)
