"""A trial that cannot change a score ends early, says so, and changes none."""

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
from fake_trial import submission
from fakes import FakeTime
from score_trees import record, rules_for

from algoperf.cli.main import main
from algoperf.cli.reference_runtimes import read_reference_runtimes
from algoperf.early_stop import Deadline, EarlyStop, beaten, cap
from algoperf.facts import UserError
from algoperf.limits import Limits
from algoperf.progress import Progress
from algoperf.stop_request import StopRequest
from scoring.load import Logs
from scoring.scoreboard import score_logs

SETTINGS = {"seed": 1, "hyperparameters": {"a": 1}, "limits": {"max_steps": 9}}


def sibling(study: Path, number: int, outcome: str, time_s: float, **settings) -> Path:
    """Writes the record of a trial; returns its folder."""
    folder = study / f"trial_{number}"
    folder.mkdir(exist_ok=True, parents=True)
    content = {
        "outcome": outcome,
        "reached": {"submission_s": time_s} if outcome == "reached" else None,
        "settings": SETTINGS | {"seed": number} | settings,
    }
    (folder / "trial.json").write_text(json.dumps(content))
    return folder


def test_the_fastest_sibling_that_reached_the_target_beats(tmp_path):
    own = tmp_path / "trial_2"
    assert beaten(own, SETTINGS) is None
    sibling(tmp_path, 1, "reached", 9.0)
    sibling(tmp_path, 3, "reached", 7.0)
    sibling(tmp_path, 4, "out of time", 1.0)
    sibling(tmp_path, 2, "reached", 1.0)  # itself
    (tmp_path / "trial_5").mkdir()
    (tmp_path / "trial_x").mkdir()
    deadline = beaten(own, SETTINGS)
    assert deadline is not None
    assert deadline.after_s == 7.0
    assert deadline.why == {"reason": "beaten", "by_trial": 3, "submission_s": 7.0}


def test_a_sibling_of_other_settings_does_not_beat(tmp_path):
    sibling(tmp_path, 1, "reached", 1.0, limits={"max_steps": 10})
    sibling(tmp_path, 3, "reached", 1.0, submission_source="changed")
    assert beaten(tmp_path / "trial_2", SETTINGS) is None


def test_a_sibling_has_to_count_wherever_the_trial_counts(tmp_path):
    # Rules that take the first seven trials have trial 7 and not trial 8.
    sibling(tmp_path, 8, "reached", 1.0)
    assert beaten(tmp_path / "trial_7", SETTINGS) is None
    assert beaten(tmp_path / "trial_9", SETTINGS).after_s == 1.0
    # Every published version takes the first five.
    sibling(tmp_path, 5, "reached", 2.0)
    assert beaten(tmp_path / "trial_1", SETTINGS).after_s == 2.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"outcome": "reached"}',
        '{"outcome": "reached", "settings": 3, "reached": null}',
        '{"outcome":"reached", "settings":{"limits":{"max_steps":9}}, "reached":{}}',
    ],
)
def test_a_damaged_sibling_does_not_beat(tmp_path, text):
    (tmp_path / "trial_1").mkdir()
    (tmp_path / "trial_1/trial.json").write_text(text)
    (tmp_path / "trial_3/trial.json").mkdir(parents=True)
    assert beaten(tmp_path / "trial_2", SETTINGS) is None


def test_the_deadline_passes_when_more_was_spent_than_it_allows():
    later = Deadline(20.0, {"reason": "beaten"})
    stop = EarlyStop([lambda _: cap(3.0), lambda _: later])
    progress = Progress(step=3)
    assert stop.applied(progress, 100.0) is progress  # not looked yet
    stop.look(progress)
    assert stop.applied(progress, 12.0) is progress
    ended = stop.applied(progress, 12.1)
    assert ended.outcome == "stopped early"
    assert ended.stopped_early == {"reason": "cap", "reference_s": 3.0, "factor": 4.0}
    over = progress.ended("out of time")
    assert stop.applied(over, 12.1) is over


def test_a_running_trial_ends_between_evaluations_once_it_is_beaten(start):
    now, seen = FakeTime(), []
    found = [None, None, Deadline(5.5, {"reason": "beaten", "by_trial": 1})]

    def find(progress):
        seen.append(now.s)
        return found[min(len(seen), len(found)) - 1]

    limits = Limits(max_runtime_s=1e9, max_steps=20, eval_every_steps=4)
    trial = start(
        submission(update_s=1.0, now=now), limits, now=now, early_stop=EarlyStop([find])
    )
    progress = trial.run(StopRequest())
    # Looked at the start and after the evaluations of steps 1, 4 and 6.
    assert len(seen) == 4
    assert (progress.step, progress.outcome) == (6, "stopped early")
    assert [step for step, _ in progress.eval_results] == [1, 4, 6]
    # A submission is not told: it must not act on it.
    assert progress.stopped_early == {"reason": "beaten", "by_trial": 1}
    again = Progress.from_dict(json.loads(json.dumps(progress.as_dict())))
    assert again.stopped_early == progress.stopped_early


def test_a_target_found_by_the_last_evaluation_stands_above_the_stop():
    class Facts:
        metric = "loss"
        reached_validation = staticmethod(lambda value: True)
        reached_test = staticmethod(lambda value: True)

    stop = EarlyStop([lambda _: cap(1.0)])
    stop.look(Progress())
    ended = stop.applied(Progress(step=3), 5.0)
    after = ended.evaluated(Facts, {"validation/loss": 0.0}, ended.seconds, 100.0)
    assert (after.outcome, after.stopped_early) == ("reached", None)


# Scores with and without.

INF = math.inf


def random_study(chance: random.Random, trials: int) -> list[list[tuple[float, float]]]:
    """Rows (seconds, loss) of some trials, of which some reach the target 0.1."""
    rows = []
    for _ in range(trials):
        period, count = chance.uniform(0.5, 3.0), chance.randint(3, 12)
        reaches = chance.choice([None, None, *range(count)])
        own = [(period * (n + 1), 0.05 if n == reaches else 0.9) for n in range(count)]
        # A trial ends when it reaches the target.
        rows.append(own if reaches is None else own[: reaches + 1])
    return rows


def with_early_stops(
    rows: list[list[tuple[float, float]]], order: list[int], folder: Path
) -> list[tuple[list[tuple[float, float]], dict | None]]:
    """The same trials one after the other in an order, each stopped when beaten.

    What is left of one is its rows up to the first beyond the deadline.
    """
    result: list = [None] * len(rows)
    for number in order:
        own = rows[number]
        deadline = beaten(folder / f"trial_{number + 1}", SETTINGS)
        late = [
            place
            for place, (time_s, value) in enumerate(own)
            if deadline is not None and time_s > deadline.after_s
        ]
        if late and own[late[0]][1] > 0.1:
            result[number] = own[: late[0] + 1], dict(deadline.why)
        else:
            result[number] = own, None
            if own[-1][1] <= 0.1:
                sibling(folder, number + 1, "reached", own[-1][0])
    return result


def scores(studies, trials: int) -> tuple[dict[str, float], list[str]]:
    """Scores of submissions by name, and what is noted about early stops."""
    records = tuple(
        replace(record(rows, name, study=study, trial=number), stopped_early=early)
        for name, of_name in studies.items()
        for study, of_study in enumerate(of_name)
        for number, (rows, early) in enumerate(of_study, 1)
    )
    logs = Logs(records, dict.fromkeys(studies, "external"), frozenset({"a"}), ())
    board = score_logs(logs, rules_for("a", studies=3, trials=trials))
    found = [note.what for note in board.notes if "early" in note.what]
    return {entry.submission: entry.score for entry in board.entries}, found


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("trials", [5, 8])
def test_scores_with_and_without_stops_are_equal(seed, trials, tmp_path):
    chance = random.Random(seed)
    plain, stopped, stops = {}, {}, 0
    for name in ("x", "y"):
        plain[name], stopped[name] = [], []
        for study in range(3):
            rows = random_study(chance, trials)
            order = chance.sample(range(trials), trials)
            folder = tmp_path / name / str(study)
            left = with_early_stops(rows, order, folder)
            stops += sum(early is not None for _, early in left)
            plain[name].append([(own, None) for own in rows])
            stopped[name].append(left)
    assert stops > 0
    # Also by rules that count fewer trials than ran.
    for counted in range(5, trials + 1):
        assert scores(stopped, counted) == (scores(plain, counted)[0], [])


def test_a_trial_stopped_for_one_that_does_not_count_is_reported():
    early = {"reason": "beaten", "by_trial": 3, "submission_s": 2.0}
    studies = {"x": [[([(1.0, 0.9), (3.0, 0.9)], early), ([(9.0, 0.05)], None)]]}
    what = "stopped early because of a faster trial that does not count here"
    assert scores(studies, 5)[1] == [what]
    studies["x"][0].append(([(2.0, 0.05)], None))
    assert scores(studies, 5)[1] == []
    assert scores(studies, 2)[1] == [what]


def test_a_cap_below_four_times_the_best_time_is_reported():
    early = {"reason": "cap", "reference_s": 2.0, "factor": 4.0}
    capped = [([(9.0, 0.9)], early)]
    what = "stopped early at a cap below which it could have scored"
    assert scores({"x": [capped] * 3, "y": [[([(2.0, 0.05)], None)]] * 3}, 1)[1] == []
    slower = [([(2.1, 0.05)], None)]
    found = scores({"x": [capped] * 3, "y": [slower] * 3}, 1)[1]
    assert found == [what] * 3
    assert scores({"x": [capped] * 3}, 1)[1] == [what] * 3  # nobody reached it


# The command.


def test_a_beaten_trial_says_so_in_its_record(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("points.json").write_text('[{"learning_rate": 0.1}, {"learning_rate": 1e-9}]')
    Path("plain.py").write_text(
        "import optax\n"
        "from algoperf.optax_submission import optax_submission\n"
        "get_batch_size, init_optimizer_state, update_params = optax_submission(\n"
        "    lambda hyperparameters, step_hint: "
        "optax.adam(hyperparameters.learning_rate / 20))\n"
    )
    line = ["run", "--workload=digits", "--submission_path=plain.py", "--rng_seed=0",
            "--tuning_search_space=points.json", "--num_tuning_trials=2"]  # fmt: skip
    assert main([*line, "--stop_when_beaten"]) == 0
    output = capsys.readouterr().out
    assert "stopped early" in output
    folder = Path("experiments/plain/study_0/digits_jax")
    first, second = (
        json.loads((folder / f"trial_{number}/trial.json").read_text())
        for number in (1, 2)
    )
    assert (first["outcome"], first["stopped_early"]) == ("reached", None)
    assert second["outcome"] == "stopped early"
    assert second["stopped_early"] == {
        "reason": "beaten",
        "by_trial": 1,
        "submission_s": first["reached"]["submission_s"],
    }
    assert second["seconds"]["submission"] > first["reached"]["submission_s"]
    assert second["steps"] < 1500
    # The flag is not part of what a trial is: without it the line finds it done.
    assert main(line) == 0
    assert "already done: stopped early" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "r.json is not JSON"),
        ("[1]", r"must be an object such as .*not \[1\]"),
        ('{"digit": 1.0}', "'digit' that does not exist; did you mean digits"),
        ('{"digits": 0}', "digits is 0; it must be a number of seconds above 0"),
        ('{"digits": "1"}', "digits is '1'"),
        ('{"digits": Infinity}', "digits is inf"),
    ],
)
def test_a_file_of_reference_times_with_a_mistake_is_refused(tmp_path, text, message):
    file = tmp_path / "r.json"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        read_reference_runtimes(file, {"digits"})


def test_reference_times_are_read(tmp_path):
    file = tmp_path / "r.json"
    file.write_text('{"digits": 2}')
    assert read_reference_runtimes(file, {"digits", "cifar"}) == {"digits": 2.0}
