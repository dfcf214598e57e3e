"""The metrics that the papers name: dashboards, alert rules and pages for people."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml

from tests.documents import ROOT, rows

__all__ = (
    "ALERTS",
    "DASHBOARDS",
    "OWN",
    "alert_rules",
    "dashboard_expressions",
    "metrics_of",
    "named_metrics",
    "selectors_of",
)

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARDS = tuple(sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")))
# What Prometheus itself makes of a scrape.
OWN = frozenset({"up"})
_NAME = re.compile(r"`(zhihui_[a-z_]+|process_[a-z_]+)`")


def alert_rules() -> list[dict[str, Any]]:
    """Return the rules of all groups in order."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard_expressions(path: Path) -> list[str]:
    """Return the expressions of all panels of a dashboard, and those of its variables."""
    board = json.loads(path.read_text(encoding="utf-8"))
    found = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    for variable in board["templating"]["list"]:
        asked = re.fullmatch(r"label_values\((\w+), \w+\)", variable["definition"])
        assert asked, variable["definition"]
        found.append(asked[1])
    return found


def selectors_of(expression: str) -> list[tuple[str, set[str]]]:
    """Return the metrics of an expression, each with the labels that it is chosen by.

    Raise :class:`ValueError` when it is no expression.
    """
    # Grafana puts these in when it asks.
    text = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
    found: list[tuple[str, set[str]]] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, promql_parser.VectorSelector):
            assert node.name, f"{expression} names no metric"
            found.append((node.name, {one.name for one in node.matchers.matchers}))

    promql_parser.walk(promql_parser.parse(text), visit)
    assert found, f"{expression} is about no metric"
    return found


def metrics_of(expression: str) -> set[str]:
    """Return the metrics of an expression."""
    return {name for name, _ in selectors_of(expression)}


def named_metrics() -> dict[str, set[str]]:
    """Return every metric that a paper names, with the places where it does."""
    named: dict[str, set[str]] = {}
    for place, name in _named():
        if name not in OWN:
            named.setdefault(name, set()).add(place)
    return named


def _named() -> Iterator[tuple[str, str]]:
    for rule in alert_rules():
        yield from ((rule["alert"], name) for name in metrics_of(rule["expr"]))
    for path in DASHBOARDS:
        for expression in dashboard_expressions(path):
            yield from ((path.name, name) for name in metrics_of(expression))
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    listed = {cells[0].strip("`") for cells in rows("docs/operations.md", "Metrics")}
    yield from (("operations.md", name) for name in {*_NAME.findall(page), *listed})
