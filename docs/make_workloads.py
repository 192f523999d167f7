"""Writes the tables of docs/workloads.md anew, from the catalog and the models.

python docs/make_workloads.py
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from algoperf.facts import DataFiles, Facts, Split, UserError
from workloads.catalog import CATALOG
from workloads.loading import load, without_data

DOCUMENT = Path(__file__).with_name("workloads.md")
BEGIN = "<!-- begin: written by `make docs`, changes are lost -->\n"
END = "<!-- end: written by `make docs` -->\n"

_SPLITS: tuple[Split, ...] = ("train", "eval_train", "validation", "test")


def main() -> None:
    """Rewrites the tables, if they changed."""
    old = DOCUMENT.read_text(encoding="utf-8")
    new = with_tables(old, tables(CATALOG))
    if new == old:
        print(f"{DOCUMENT.name} is up to date")
        return
    DOCUMENT.write_text(new, encoding="utf-8")
    print(f"{DOCUMENT.name} is written anew")


def with_tables(document: str, content: str) -> str:
    """The document with this content between the two markers.

    Raises:
      UserError: a marker is not there, or not once.
    """
    before, *after_begin = document.split(BEGIN)
    _, *after_end = document.split(END)
    if len(after_begin) != 1 or len(after_end) != 1 or END not in after_begin[0]:
        raise UserError(
            f"docs/{DOCUMENT.name} has {len(after_begin)} lines {BEGIN.strip()!r} and "
            f"{len(after_end)} lines {END.strip()!r}; it needs one of each, in this "
            "order. Put them around its tables."
        )
    return f"{before}{BEGIN}{content}{END}{after_end[0]}"


def tables(catalog: Mapping[str, Facts]) -> str:
    """All tables, as Markdown that ends with an empty line."""
    sections = {
        f"Rules, {scale} scale": _rules(f for f in catalog.values() if f.scale == scale)
        for scale in ("full", "mini")
    } | {
        "Models": _models(catalog),
        "Examples": _examples(catalog.values()),
        "Data": _data(catalog.values()),
    }
    return "\n" + "".join(
        f"### {title}\n\n{table}\n" for title, table in sections.items()
    )


def _rules(facts: Iterable[Facts]) -> str:
    header = (
        "workload",
        "metric",
        "validation target",
        "test target",
        "budget",
        "evaluated every",
        "step hint",
        "batch size",
        "of evaluations",
    )
    return _table(header, "llrrrrrrr", [_rule(one) for one in facts])


def _rule(facts: Facts) -> tuple[str, ...]:
    sign = "≥" if facts.goal == "max" else "≤"
    targets = (facts.validation_target, facts.test_target)
    if facts.eval_period_steps is None:
        period = f"{facts.eval_period_s:,g} s"
    else:
        period = f"{facts.eval_period_steps:,} steps"
    return (
        f"`{facts.name}`",
        facts.metric,
        *("none" if target is None else f"{sign} {target:g}" for target in targets),
        f"{facts.max_runtime_s:,g} s",
        period,
        f"{facts.step_hint:,}",
        f"{facts.batch_size:,}",
        f"{facts.eval_batch_size:,}",
    )


def _models(catalog: Mapping[str, Facts]) -> str:
    rows = [
        (
            f"`{facts.name}`",
            "" if facts.base == facts.name else f"`{facts.base}`",
            f"{_num_params(facts):,}",
            _fields(changed_fields(facts, catalog[facts.base])),
        )
        for facts in catalog.values()
    ]
    return _table(
        ("workload", "variant of", "parameters", "model fields"), "llrl", rows
    )


def _num_params(facts: Facts) -> int:
    build = load if facts.scale == "mini" else without_data
    return build(facts.name).num_params


def changed_fields(facts: Facts, base: Facts) -> dict[str, Any]:
    """The model fields of a variant that its base has otherwise; all of a base's."""
    if facts.name == base.name:
        return dict(facts.model)
    return {
        name: value
        for name, value in facts.model.items()
        if name not in base.model or base.model[name] != value
    }


def _fields(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}={value!r}`" for name, value in fields.items())


def _examples(catalog: Iterable[Facts]) -> str:
    """A row for all workloads that have the same numbers."""
    names: dict[tuple[int, ...], list[str]] = {}
    for facts in catalog:
        counts = tuple(facts.examples[split] for split in _SPLITS)
        names.setdefault(counts, []).append(f"`{facts.name}`")
    rows = [
        (", ".join(some), *(f"{count:,}" for count in counts))
        for counts, some in names.items()
    ]
    return _table(("workloads", *_SPLITS), "lrrrr", rows)


def _data(catalog: Iterable[Facts]) -> str:
    """A row for all workloads that read the same files."""
    names: dict[DataFiles, list[str]] = {}
    for facts in catalog:
        names.setdefault(facts.data, []).append(f"`{facts.name}`")
    rows = [
        (
            f"`{files.folder}/`" if files.folder else "none",
            files.summary,
            ", ".join(some),
            files.how_to_get or "nothing to do",
        )
        for files, some in names.items()
    ]
    return _table(("folder", "what", "read by", "how to get it"), "llll", rows)


def _table(
    header: tuple[str, ...], alignments: str, rows: Iterable[tuple[str, ...]]
) -> str:
    """A Markdown table; `alignments` has an `l` or an `r` for each column."""
    rule = tuple({"l": "---", "r": "--:"}[side] for side in alignments)
    cells = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *cells))


if __name__ == "__main__":
    main()
