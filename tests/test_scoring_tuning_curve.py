"""Score against tuning trials equals the average over every choice of trials."""

import itertools
import json
from dataclasses import replace
from math import comb
from pathlib import Path

import numpy as np
import pytest
from score_trees import (
    INF,
    board_of,
    rules_for,
    score_logs_of,
    trials_of,
    write_tree,
)

from scoring.load import load_logs
from scoring.profiles import medians
from scoring.scoreboard import Scoreboard, score_logs
from scoring.tuning_curve import median_distribution, tuning_curves
from scoring.winners import find_winners


def every_choice(trials: np.ndarray, count: int) -> np.ndarray:
    """The fastest of every choice in each study, [choices of all studies, studies]."""
    fastest = [
        [min(chosen) for chosen in itertools.combinations(study, count)]
        for study in trials.tolist()
    ]
    return np.array(list(itertools.product(*fastest)))


def chances(values: np.ndarray, weights: np.ndarray) -> dict[float, float]:
    found: dict[float, float] = {}
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        found[value] = found.get(value, 0.0) + weight
    return {value: weight for value, weight in found.items() if abs(weight) > 1e-12}


@pytest.mark.parametrize("studies", range(1, 5))
@pytest.mark.parametrize("count", range(1, 5))
def test_the_median_distribution_is_that_of_all_choices(studies: int, count: int):
    rng = np.random.default_rng(10 * studies + count)
    for _ in range(8):
        # Whole seconds: ties within and between studies.
        trials = rng.integers(1, 7, (studies, 4)).astype(float)
        trials[rng.random(trials.shape) < 0.3] = INF
        every = medians(every_choice(trials, count))
        assert len(every) == comb(4, count) ** studies
        expected = chances(every, np.full(len(every), 1 / len(every)))
        found = chances(*median_distribution(trials, count))
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_probabilities_by_hand():
    trials = np.array([[1.0, 2.0, INF]])
    assert chances(*median_distribution(trials, 1)) == pytest.approx(
        {1.0: 1 / 3, 2.0: 1 / 3, INF: 1 / 3}
    )
    assert chances(*median_distribution(trials, 2)) == pytest.approx(
        {1.0: 2 / 3, 2.0: 1 / 3}
    )
    assert chances(*median_distribution(trials, 3)) == pytest.approx({1.0: 1.0})


RULES = rules_for("a", "b", held_out={"b_tanh": "b"}, studies=2, trials=2)


def random_board(rng: np.random.Generator) -> Scoreboard:
    def seconds() -> list[list[float]]:
        drawn = rng.integers(1, 12, (2, 2)).astype(float)
        drawn[rng.random((2, 2)) < 0.2] = INF
        return drawn.tolist()

    times = {
        name: {rule.name: seconds() for rule in RULES.needed} for name in ("x", "y")
    }
    return board_of(times, RULES)


def score_with(board: Scoreboard, name: str, chosen: dict[tuple[str, int], int]):
    """The score with one trial alone of each of the submission's studies."""
    others = [own for own in board.logs.trials if own.submission != name]
    kept = [
        replace(own, trial=1)
        for own in board.logs.trials
        if own.submission == name and chosen[own.workload, own.study] == own.trial
    ]
    found = score_logs_of([*others, *kept], RULES)
    return next(e.score for e in found.entries if e.submission == name)


def test_the_expectation_is_the_average_of_all_leaderboards():
    rng = np.random.default_rng(3)
    keys = [(rule.name, study) for rule in RULES.needed for study in range(2)]
    for _ in range(3):
        board = random_board(rng)
        for curve in tuning_curves(board):
            scores = [
                score_with(board, curve.submission, dict(zip(keys, own, strict=True)))
                for own in itertools.product((1, 2), repeat=len(keys))
            ]
            expected = np.mean(scores)
            assert curve.scores[0] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_with_all_trials_it_is_the_score_and_it_never_falls():
    rng = np.random.default_rng(4)
    different = 0
    for _ in range(30):
        board = random_board(rng)
        curves = tuning_curves(board)
        assert [own.submission for own in curves] == list(board.submissions)
        for entry, curve in zip(board.entries, curves, strict=True):
            assert len(curve.scores) == 2
            assert curve.scores[-1] == pytest.approx(entry.score, rel=1e-9, abs=1e-12)
            assert curve.scores[0] <= curve.scores[1] + 1e-12
            different += curve.scores[0] < curve.scores[1]
    assert different > 20


def test_the_trapezoid_is_kept_to():
    times = {"x": {"a": [[3.0, 5.0]]}, "y": {"a": [[2.0, INF]]}}
    board = board_of(times, rules_for("a", studies=1, trials=2), by_trapezoid=True)
    found = {own.submission: own.scores for own in tuning_curves(board)}
    scores = {entry.submission: entry.score for entry in board.entries}
    assert {n: own[-1] for n, own in found.items()} == pytest.approx(scores, rel=1e-9)


def test_one_trial_by_hand():
    # x with one trial: r is 3/2, 5/2; y with one trial: first, or not there.
    times = {"x": {"a": [[3.0, 5.0]]}, "y": {"a": [[2.0, INF]]}}
    board = board_of(times, rules_for("a", studies=1, trials=2))
    found = {own.submission: own.scores for own in tuning_curves(board)}
    assert found["x"] == pytest.approx(((2.5 + 1.5) / 2 / 3, 2.5 / 3))
    assert found["y"] == pytest.approx((0.5, 1.0))


def test_a_missing_trial_is_a_trial_that_missed():
    board = board_of({"x": {"a": [[3.0]]}}, rules_for("a", studies=1, trials=4))
    (curve,) = tuning_curves(board)
    assert curve.scores == pytest.approx((0.25, 0.5, 0.75, 1.0))


def test_self_tuning_has_a_single_trial():
    trials = trials_of({"x": {"a": [[3.0]]}}, "self")
    (curve,) = tuning_curves(score_logs_of(trials, rules_for("a", studies=1, trials=5)))
    assert curve.scores == pytest.approx((1.0,))


class TestWinners:
    def winners(self, root: Path):
        rules = rules_for("a", "b", studies=2, trials=3)
        board = score_logs(load_logs(root, rules), rules)
        return find_winners(board, root)

    def test_the_fastest_trial_of_each_study_with_its_hyperparameters(
        self, tmp_path: Path
    ):
        times = {"x": {"a": [[9.0, 4.0, 4.0], [INF] * 3], "b": [[5.0]]}}
        root = write_tree(tmp_path, times)
        for trial in (1, 2, 3):
            path = root / f"x/study_0/a_jax/trial_{trial}/hparams.json"
            path.write_text(json.dumps({"learning_rate": trial}))
        first, second = self.winners(root)
        # Of two equally fast trials the first one by number.
        assert (first.submission, first.workload, first.study) == ("x", "a", 0)
        assert (first.reach.trial, first.reach.time_s) == (2, 4.0)
        assert first.hyperparameters == {"learning_rate": 2}
        assert (second.workload, second.hyperparameters) == ("b", None)

    @pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", None])
    def test_hyperparameters_that_cannot_be_read(
        self, tmp_path: Path, content: bytes | None
    ):
        root = write_tree(tmp_path, {"x": {"a": [[4.0]]}})
        path = root / "x/study_0/a_jax/trial_1/hparams.json"
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
        (winner,) = self.winners(root)
        assert winner.hyperparameters is None
