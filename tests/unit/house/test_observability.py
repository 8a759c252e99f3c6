"""Dashboards, rules and their documentation name only metrics and labels that there are."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from kasparro.model.metrics import METRICS

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "observability"
BOARDS = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))
LABELS = {one.name: set(one.labels) for one in METRICS}
HISTOGRAMS = {one.name for one in METRICS if one.kind == "histogram"}

METRIC = re.compile(r"(?<![\w:])(kasparro_\w+)(\{[^}]*\})?")
RECORDED = re.compile(r"\b(?:source:)?kasparro:\w+(?::\w+)?|\bsource:kasparro_\w+:\w+")
GROUPED = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")


@cache
def read(name: str) -> Any:
    return YAML(typ="safe").load(FOLDER / name)


def rules() -> list[dict[str, Any]]:
    return [rule for group in read("rules.yml")["groups"] for rule in group["rules"]]


ALERTS = [rule for rule in rules() if "alert" in rule]


def board(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def targets(path: Path) -> Iterator[tuple[str, str, str]]:
    """Title of the panel, expression and legend of every query of a dashboard."""
    for panel in board(path)["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], target["legendFormat"]


def queries() -> list[tuple[str, str]]:
    """Everything that is asked, with where it stands."""
    found = [(f"{path.name}: {title}", expr) for path in BOARDS for title, expr, _ in targets(path)]
    found += [(f"rules.yml: {rule.get('alert', rule.get('record'))}", rule["expr"]) for rule in rules()]
    for path in BOARDS:
        for one in board(path)["templating"]["list"]:
            asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", one["query"]["query"])
            assert asked is not None
            found.append((f"{path.name}: {one['name']}", f"max by ({asked[2]}) ({asked[1]})"))
    return found


def known(name: str) -> set[str] | None:
    """Labels of a metric, as it is queried; None where there is none of the name."""
    for suffix in ("_bucket", "_sum", "_count"):
        if name.removesuffix(suffix) in HISTOGRAMS:
            return LABELS[name.removesuffix(suffix)] | ({"le"} if suffix == "_bucket" else set())
    return None if name in HISTOGRAMS else LABELS.get(name)


QUERIES = queries()


def test_there_is_something_to_check() -> None:
    assert {path.stem for path in BOARDS} == {"overview", "source", "api"}
    assert len(QUERIES) > 60
    assert len(ALERTS) >= 11


@pytest.mark.parametrize(("place", "expr"), QUERIES, ids=[place for place, _ in QUERIES])
def test_every_metric_and_label_exists(place: str, expr: str) -> None:
    used = {"job", "alertname", "alertstate"}
    bare = RECORDED.sub(" ", expr)
    for name, matchers in METRIC.findall(bare):
        labels = known(name)
        assert labels is not None, f"{place}: there is no metric {name}"
        asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        assert asked <= labels, f"{place}: {name} has no {asked - labels}"
        used |= labels
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for name in RECORDED.findall(expr):
        assert name in recorded, f"{place}: nothing is recorded as {name}"
        used.add("source")
    for group in GROUPED.findall(bare):
        asked = {label.strip() for label in group.split(",") if label.strip()}
        assert asked <= used, f"{place}: none of its metrics has {asked - used}"
    assert METRIC.search(bare) or RECORDED.search(expr) or "up{" in expr or "ALERTS{" in expr, place


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_legends_name_labels_that_the_query_leaves(path: Path) -> None:
    for title, expr, legend in targets(path):
        left = {label.strip() for group in GROUPED.findall(expr) for label in group.split(",")} | {"source"}
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= left, title


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    found = board(path)
    (source,) = read("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    panels = found["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies over another panel"
        assert max(x for x, _ in cells) < 24
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"] == {"type": "prometheus", "uid": source["uid"]}
    names = {one["name"] for one in found["templating"]["list"]} | {"__rate_interval"}
    assert set(re.findall(r"\$(\w+)", " ".join(expr for _, expr, _ in targets(path)))) <= names


def test_dashboards_are_told_apart() -> None:
    found = [board(path) for path in BOARDS]
    assert len({one["uid"] for one in found}) == len({one["title"] for one in found}) == len(found)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_means_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert rule["alert"] in headings
    assert anchor == rule["alert"].lower()


def test_every_alert_is_shown_to_fire_and_to_keep_quiet() -> None:
    cases = [case for test in read("rules_test.yml")["tests"] for case in test.get("alert_rule_test", ())]
    names = {rule["alert"] for rule in ALERTS}
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == names
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == names


def test_the_compose_file_has_what_the_configuration_needs() -> None:
    (scrape,) = read("prometheus.yml")["scrape_configs"]
    (group,) = read("targets.yml")
    assert group["targets"] == ["api:8000"]
    assert scrape["authorization"] == {"credentials_file": "api_key"}
    assert scrape["file_sd_configs"] == [{"files": ["targets.yml"]}]
    assert read("prometheus.yml")["rule_files"] == ["rules.yml"]
    assert "/deploy/observability/api_key" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
