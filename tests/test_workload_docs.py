"""docs/workloads.md: its tables are those of the catalog, its flags exist."""

import importlib.util
import re
from pathlib import Path

import pytest
from absl import flags

from algoperf.cli import run_flags
from algoperf.facts import UserError
from workloads.catalog import CATALOG

DOCS = Path(__file__).parents[1] / "docs"
DOCUMENT = (DOCS / "workloads.md").read_text(encoding="utf-8")


def _load_script():
    spec = importlib.util.spec_from_file_location("x", DOCS / "make_workloads.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = _load_script()


@pytest.fixture(scope="module")
def tables() -> str:
    return script.tables(CATALOG)


def test_the_document_is_up_to_date(tables: str):
    fresh = script.with_tables(DOCUMENT, tables)
    assert fresh == DOCUMENT, "run `make docs` and look at what changed"


def test_every_workload_is_in_every_table(tables: str):
    rules, other = tables.split("### Models")
    models, other = other.split("### Examples")
    for part in (rules, models, *other.split("### Data")):
        for name in CATALOG:
            assert part.count(f"`{name}`") >= 1, (name, part)


def test_rows_are_the_published_ones(tables: str):
    # AlgoPerf's documentation: targets, budget, period, step hint, model sizes.
    for row in (
        "| `imagenet_resnet` | accuracy | ≥ 0.77431 | ≥ 0.656 | 66,159 s | 510 s "
        "| 195,999 | 1,024 | 1,024 |",
        "| `imagenet_vit_glu` | accuracy | ≥ 0.75738 | ≥ 0.6359 | 69,768 s | 420 s "
        "| 167,999 | 1,024 | 2,048 |",
        "| `imagenet_resnet` |  | 25,557,032 |  |",
        "| `imagenet_vit_glu` | `imagenet_vit` | 50,452,456 | `glu=True` |",
        "| `mnist` | 50,000 | 10,000 | 10,000 | 10,000 |",
    ):
        assert f"{row}\n" in tables


def test_tables_have_as_many_cells_in_every_row(tables: str):
    for table in tables.split("### ")[1:]:
        rows = [line for line in table.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1


def test_what_a_variant_changes():
    base = CATALOG["imagenet_resnet_mini"]
    assert script.changed_fields(base, base) == dict(base.model)
    large = CATALOG["imagenet_resnet_large_bn_init"]
    changed = script.changed_fields(large, CATALOG[large.base])
    assert changed == {"last_bn_scale": 8.0}


def test_what_is_around_the_tables_stays():
    old = f"before\n{script.BEGIN}old\n{script.END}after\n"
    new = script.with_tables(old, "new\n")
    assert new == f"before\n{script.BEGIN}new\n{script.END}after\n"
    assert script.with_tables(new, "new\n") == new


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("none\n", 0, 0),
        (f"{script.BEGIN}", 1, 0),
        (f"{script.END}{script.BEGIN}", 1, 1),
        (f"{script.BEGIN}{script.END}{script.END}", 1, 2),
    ],
)
def test_a_document_without_the_two_markers_is_refused(
    text: str, begins: int, ends: int
):
    with pytest.raises(UserError, match="it needs one of each, in this order") as error:
        script.with_tables(text, "")
    assert f"{begins} lines {script.BEGIN.strip()!r}" in str(error.value)
    assert f"{ends} lines {script.END.strip()!r}" in str(error.value)


def test_every_flag_in_the_document_exists(algoperf):
    values = flags.FlagValues()
    run_flags.define(values)
    others = algoperf("prepare", "--help").stdout + algoperf("list", "--help").stdout
    known = set(values) | set(re.findall(r"--\[?(?:no\])?([a-z_]+)", others))
    used = set(re.findall(r"--([a-z][a-z_0-9]+)", DOCUMENT))
    assert used
    assert used <= known


def test_every_table_has_a_header():
    lines = ["", *DOCUMENT.splitlines(), ""]
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
        if line.startswith("|") and not before.startswith("|"):
            assert re.fullmatch(r"[|: -]+", after), line
            assert not before or before.startswith("<!--"), line
