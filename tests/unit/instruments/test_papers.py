"""What stands in `deploy/` and the page for operators names what there is, and all of it."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.core import Metric

from tests.documents import ROOT, anchors, rows
from tests.unit.instruments.lab import LOOK, made_node, observer_of
from tests.unit.instruments.named import (
    DASHBOARDS,
    OWN,
    alert_rules,
    dashboard_expressions,
    metrics_of,
    named_metrics,
    selectors_of,
)
from zhihui.instruments.exposition import NodeCollector

_PAGE = "docs/operations.md"
_DURATION = re.compile(r"\d+[smhd]")
# What Prometheus adds to every sample, and what a histogram has of itself.
_ADDED = {"job", "instance", "le"}


def _families() -> list[Metric]:
    return list(NodeCollector(observer_of(made_node(), LOOK)).collect())


def _told() -> dict[str, set[str]]:
    """Return the labels of every name that a node tells."""
    told: dict[str, set[str]] = {name: set() for name in OWN}
    for family in _families():
        labels = set(family._labelnames)  # type: ignore[attr-defined]
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        for end in ends.get(family.type, ("",)):
            told[f"{family.name}{end}"] = labels
    # Of the library's own collector.
    told |= {"process_cpu_seconds_total": set(), "process_resident_memory_bytes": set()}
    return told


def _expressions() -> list[tuple[str, str]]:
    found = [(rule["alert"], rule["expr"]) for rule in alert_rules()]
    found += [(path.name, one) for path in DASHBOARDS for one in dashboard_expressions(path)]
    return found


def test_every_metric_that_is_named_is_told() -> None:
    """Dashboards, alerts and the page name metrics and labels that a node has."""
    told = _told()
    wrong = [
        f"{place}: {name} {sorted(labels - told.get(name, set()) - _ADDED)}"
        for place, expression in _expressions()
        for name, labels in selectors_of(expression)
        if name not in told or labels - told[name] - _ADDED
    ]
    families = {family.name for family in _families()}
    wrong += [name for name in named_metrics() if name not in told and name not in families]
    assert wrong == [], "\n".join(wrong)


def test_the_page_lists_every_metric() -> None:
    """The table of metrics is the one of the code: names, kinds, labels and sentences."""
    listed = [
        (name.strip("`"), kind, labels.replace("`", ""), text)
        for name, kind, labels, text in rows(_PAGE, "Metrics")
    ]
    expected = [
        (
            f"{one.name}_total" if one.type == "counter" else one.name,
            one.type,
            ", ".join(one._labelnames),  # type: ignore[attr-defined]
            one.documentation,
        )
        for one in _families()
    ]
    assert listed == expected


def test_every_alert_says_what_to_do() -> None:
    """An alert has a name of its own, a severity, a sentence and its runbook; no other has one."""
    rules = alert_rules()
    names = [rule["alert"] for rule in rules]
    assert len(names) == len(set(names))
    known = anchors(_PAGE)
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"critical", "warning"}, rule["alert"]
        assert rule["annotations"]["summary"].endswith("."), rule["alert"]
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert (page, anchor) == (_PAGE, rule["alert"].lower())
        assert anchor in known, f"{rule['alert']} has no runbook"
        assert _DURATION.fullmatch(rule.get("for", "1s")), rule["alert"]
    runbooks = {one for one in known if re.fullmatch(r"zhihui[a-z]+", one)}
    assert runbooks == {name.lower() for name in names}


def test_an_expression_that_is_none_is_found() -> None:
    """The check itself sees a wrong expression and every metric of a right one."""
    with pytest.raises(ValueError, match=r"[a-z]"):
        metrics_of("sum(rate(zhihui_requests_total[5m])")
    right = 'sum by (le) (rate(a_bucket{x="1"}[5m])) > on () b and -c offset 5m'
    assert dict(selectors_of(right)) == {"a_bucket": {"x"}, "b": set(), "c": set()}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_can_be_imported(path: Path) -> None:
    """Panels have numbers and places of their own, a title and a unit, and ask something."""
    board: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert board["uid"] == path.stem
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    for panel in panels:
        assert panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        if panel["type"] != "row":
            assert panel["targets"]
            assert panel["fieldConfig"]["defaults"]["unit"]
            letters = [target["refId"] for target in panel["targets"]]
            assert len(letters) == len(set(letters))
    assert not any(_overlap(one["gridPos"], other["gridPos"])
                   for one, other in combinations(panels, 2))  # fmt: skip


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"] and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"] and other["y"] < one["y"] + one["h"]
    )  # fmt: skip


def test_files_of_deploy_are_well_formed() -> None:
    """Every YAML file is read, and every file that one of ours refers to is there."""
    deploy = ROOT / "deploy"
    files = sorted(deploy.rglob("*.y*ml"))
    assert len(files) >= 6
    read = {path.relative_to(deploy).as_posix(): yaml.safe_load(path.read_text()) for path in files}
    assert read["prometheus/prometheus.yml"]["rule_files"] == ["alerts.yml"]
    for name in ("prometheus/prometheus.yml", "compose/prometheus.yml"):
        (job,) = read[name]["scrape_configs"]
        assert job["job_name"] == "zhihui"
    mounted = [
        volume.split(":")[0]
        for service in read["compose/compose.yaml"]["services"].values()
        for volume in service["volumes"]
        if volume.startswith(".")
    ]
    assert len(mounted) >= 6
    assert all((deploy / "compose" / one).exists() for one in mounted)


def test_the_unit_waits_as_long_as_a_node_needs() -> None:
    """systemd kills a node no sooner than its own steps of stopping are over."""
    unit = (ROOT / "deploy" / "systemd" / "zhihui-node@.service").read_text(encoding="utf-8")
    settings = dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))
    assert float(settings["TimeoutStopSec"]) >= 30
    assert settings["KillSignal"] == "SIGTERM"
    assert settings["Restart"] == "always"
    assert "zhihui node --name %i" in settings["ExecStart"]
