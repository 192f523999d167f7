"""`algoperf list`: workloads and submissions, without importing JAX."""

import ast
from pathlib import Path

from absl import flags

from algoperf.cli.bundled import (
    bundled_state_bytes,
    bundled_submissions,
    search_space_beside,
)
from algoperf.cli.flag_parsing import HelpShown, parse
from algoperf.facts import Facts, UserError
from workloads.catalog import CATALOG
from workloads.files import presence

USAGE = "algoperf list [--workloads] [--submissions] [--data_dir=DIR]"


def main(argv: list[str]) -> int:
    """Prints what there is to run."""
    values = flags.FlagValues()
    flags.DEFINE_boolean("workloads", False, "Only the workloads.", flag_values=values)
    flags.DEFINE_boolean(
        "submissions", False, "Only the submissions.", flag_values=values
    )
    flags.DEFINE_string(
        "data_dir", None, "Where the data sets are looked for.", flag_values=values
    )
    try:
        parse(values, USAGE, argv)
    except HelpShown:
        return 0
    data_dir = Path(values.data_dir).expanduser() if values.data_dir else None
    if data_dir is not None and not data_dir.is_dir():
        raise UserError(f"--data_dir={values.data_dir} is no folder.")
    both = values.workloads == values.submissions
    if values.workloads or both:
        print(_workload_table(data_dir))
    if both:
        print()
    if values.submissions or both:
        print(_submission_table())
    return 0


def _workload_table(data_dir: Path | None) -> str:
    header = (
        "workload", "scale", "metric", "target", "budget", "step hint", "data", "there"
    )  # fmt: skip
    rows = [header, *(_workload_row(facts, data_dir) for facts in CATALOG.values())]
    return _table(rows)


def _workload_row(facts: Facts, data_dir: Path | None) -> tuple[str, ...]:
    sign = ">=" if facts.goal == "max" else "<="
    return (
        facts.name,
        facts.scale,
        facts.metric,
        f"{sign} {facts.validation_target:g}",
        f"{facts.max_runtime_s:,g} s",
        f"{facts.step_hint:,}",
        facts.data.summary,
        presence(facts, data_dir),
    )


def _submission_table() -> str:
    rows = [("submission", "ruleset", "state", "what it is (source)")]
    state_bytes = bundled_state_bytes()
    for name, folder in bundled_submissions().items():
        ruleset = "external" if search_space_beside(folder) else "self"
        module = ast.parse((folder / "submission.py").read_text())
        summary = (ast.get_docstring(module) or "").partition("\n")[0]
        rows.append((name, ruleset, f"{state_bytes[name]:.2f}", summary))
    return _table(rows) + "\nstate: bytes of optimizer state per parameter, on mnist"


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    )
