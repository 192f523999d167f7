"""What a stopped command says goes on where it stopped, and deletes nothing."""

import pytest

from algoperf.cli.again import continuing


@pytest.mark.parametrize(
    ("line", "name", "wanted"),
    [
        ("run --workload=digits", "adamw", "run --workload=digits"),
        ("run --overwrite --workload=digits", "adamw", "run --workload=digits"),
        ("run --overwrite=true -overwrite --workload=a", "x", "run --workload=a"),
        ("run --nooverwrite --workload=a", "x", "run --workload=a"),
        (
            "run --append_timestamp --a=b",
            "x_2026",
            "run --a=b --experiment_name=x_2026",
        ),
        (
            "run --experiment_name x --append_timestamp --a=b",
            "x_2026",
            "run --a=b --experiment_name=x_2026",
        ),
        (
            "run --experiment_name=x --append_timestamp --a=b",
            "x_2026",
            "run --a=b --experiment_name=x_2026",
        ),
        ("run --experiment_name=x", "x", "run --experiment_name=x"),
        ("sweep --overwrite_all", None, "sweep --overwrite_all"),
    ],
)
def test_a_line_that_goes_on_begins_nothing_anew(line, name, wanted):
    assert continuing(line.split(), name) == f"algoperf {wanted}"


def test_words_are_quoted_for_the_shell():
    assert continuing(["run", "--a=b c"]) == "algoperf run '--a=b c'"
