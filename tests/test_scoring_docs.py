"""docs/scores-json.md names every key that scores.json has."""

import re
from pathlib import Path

from score_trees import one_trial_each, rules_for, write_tree

import scoring
from scoring.document import SCHEMA_VERSION, as_document

DOCS = (Path(__file__).parents[1] / "docs/scores-json.md").read_text()


def keys(value) -> set[str]:
    """The keys of a document that are names of fields and not of submissions."""
    if isinstance(value, list | tuple):
        return {key for item in value for key in keys(item)}
    if not isinstance(value, dict):
        return set()
    return {str(key) for key in value} | {k for v in value.values() for k in keys(v)}


def test_every_key_is_documented(tmp_path: Path):
    times = one_trial_each({"x": {"a": [5.0, 6.0]}, "y": {"a": [9.0, 8.0]}})
    tree = write_tree(tmp_path / "logs", times)
    report = scoring.score(tree, rules_for("a", studies=2), reference="x")
    document = as_document(report)
    rules = keys(document["rules"])  # documented by scoring.md and rules.py
    names = {"a", "x", "y", "0", "1"}
    # Said in one line for all: "the same with `_over_workloads`".
    fields = {key.removesuffix("_over_workloads") for key in keys(document)}
    words = set(re.findall(r"\w+", DOCS))
    assert fields - rules - names - words == set()
    assert "`_over_workloads`" in DOCS
    assert document["schema"] == {"name": "algoperf-scores", "version": SCHEMA_VERSION}
    assert f"`schema.version` is {SCHEMA_VERSION}" in DOCS
