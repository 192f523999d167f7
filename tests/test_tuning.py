"""A search space is read strictly; a study samples its own part of the sequence."""

import json
from pathlib import Path
from typing import Any

import pytest

from algoperf.facts import UserError
from algoperf.halton import generate_search
from algoperf.tuning import read_search_space, study_points

SPACE: dict[str, dict[str, Any]] = {
    "learning_rate": {"min": 1e-4, "max": 1e-2, "scaling": "log"},
    "weight_decay": {"min": 0, "max": 0.5},
    "warmup_factor": {"feasible_points": [0.02, 0.05]},
}
POINTS = [
    {"learning_rate": 0.1, "nesterov": True},
    {"nesterov": False, "learning_rate": 0.2},
    {"learning_rate": 0.3, "nesterov": None},
]
SUBMISSIONS = Path(__file__).parents[1] / "submissions"


def written(folder: Path, content: Any) -> Path:
    path = folder / "tuning_search_space.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def error_of(folder: Path, content: Any) -> str:
    path = written(folder, content)
    with pytest.raises(UserError) as info:
        read_search_space(path)
    assert str(path) in str(info.value)
    return str(info.value)


@pytest.mark.parametrize("content", [SPACE, POINTS])
def test_a_search_space_is_what_is_in_its_file(tmp_path, content):
    space = read_search_space(written(tmp_path, content))
    assert space == content
    assert list(space) == list(content)


@pytest.mark.parametrize(
    "path",
    sorted(SUBMISSIONS.rglob("tuning_search_space.json")),
    ids=lambda path: path.parent.name,
)
def test_the_search_spaces_of_bundled_submissions_are_right(path):
    points = study_points(read_search_space(path), trials=5)
    assert len({tuple(point) for point in points}) == 5


def test_study_0_has_the_first_points_of_the_sequence():
    assert study_points(SPACE, trials=5) == generate_search(SPACE, 5)


@pytest.mark.parametrize("trials", [1, 3, 5])
def test_studies_draw_different_points_of_the_sequence(trials):
    joined = [p for study in range(3) for p in study_points(SPACE, trials, study)]
    assert len(set(joined)) == 3 * trials
    sequence = generate_search(SPACE, 2_000 + trials)
    expected = [
        sequence[1_000 * study + i] for study in range(3) for i in range(trials)
    ]
    assert joined == expected


@pytest.mark.parametrize("study", [0, 1, 2])
def test_a_longer_study_begins_like_a_shorter_one(study):
    longer = study_points(SPACE, trials=5, study=study)
    assert study_points(SPACE, trials=2, study=study) == longer[:2]


@pytest.mark.parametrize("study", [0, 1, 2])
def test_a_list_is_the_same_in_every_study(study):
    points = study_points(POINTS, trials=2, study=study)
    assert [point._asdict() for point in points] == POINTS[:2]
    assert points[1].learning_rate == 0.2
    assert points[1].nesterov is False


def test_more_trials_than_points_are_refused():
    with pytest.raises(UserError, match=r"4 tuning trials.*3 points.*may be 3 at most"):
        study_points(POINTS, trials=4)
    assert len(study_points(POINTS, trials=3)) == 3


def test_a_file_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "missing.json"
    with pytest.raises(UserError, match="cannot read the search space") as info:
        read_search_space(path)
    assert str(path) in str(info.value)
    assert "No such file" in str(info.value)


@pytest.mark.parametrize("content", ["", "{", "{'learning_rate': 1}", "[1,]"])
def test_a_file_without_json_is_refused(tmp_path, content):
    assert "is not JSON: " in error_of(tmp_path, content)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "space.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not JSON"):
        read_search_space(path)


@pytest.mark.parametrize("content", [{}, [], 3, "null", '"learning_rate"'])
def test_an_empty_space_and_other_values_are_refused(tmp_path, content):
    message = error_of(tmp_path, content)
    assert "has to be an object" in message
    assert "list of points, and not empty" in message


def test_a_name_that_is_there_twice_is_refused(tmp_path):
    dimension = '"learning_rate": {"feasible_points": [0.1]}'
    message = error_of(tmp_path, f"{{{dimension}, {dimension}}}")
    assert "learning_rate" in message
    assert "twice" in message


@pytest.mark.parametrize(
    "name", ["learning-rate", "1st", "", "a b", "lambda", "_private", "é-"]
)
@pytest.mark.parametrize("as_list", [False, True])
def test_names_that_are_no_identifiers_are_refused(tmp_path, name, as_list):
    content = [{name: 1}] if as_list else {name: {"feasible_points": [1]}}
    message = error_of(tmp_path, content)
    assert f"{name!r} cannot be a hyperparameter" in message


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        (0.1, 'learning_rate is 0.1; allowed: {"feasible_points"'),
        ([0.1], "learning_rate is [0.1]; allowed"),
        ({}, "min"),
        ({"min": 0}, "max"),
        ({"min": "0", "max": 1}, 'min is "0"; it has to be a number'),
        ({"min": 0, "max": True}, "max is true; it has to be a number"),
        ({"min": 0, "max": None}, "max is null; it has to be a number"),
        ({"min": 2, "max": 1}, "min 2 is greater than max 1; swap them"),
        (
            {"min": 0, "max": 1, "scaling": "log"},
            "min is 0, but a log scale needs a min greater than 0",
        ),
        (
            {"min": -1, "max": 1, "scaling": "log"},
            "min is -1, but a log scale needs a min greater than 0",
        ),
        (
            {"min": 0, "max": 1, "scaling": "exp"},
            'scaling is "exp"; allowed: linear, log',
        ),
        (
            {"min": 0, "max": 1, "scaling": None},
            "scaling is null; allowed: linear, log",
        ),
        ({"feasible_points": 3}, "feasible_points is 3; it has to be a list"),
        ({"feasible_points": "ab"}, 'feasible_points is "ab"; it has to be a list'),
        ({"feasible_points": []}, "at least one value"),
        ({"min": 0, "max": 1, "step": 2, "base": 2}, "'base', 'step'; allowed: "),
        ({"feasible_points": [1], "min": 0}, "has 'min'"),
    ],
)
def test_a_dimension_that_is_not_right_is_named(tmp_path, dimension, expected):
    message = error_of(
        tmp_path, {"beta": {"min": 0, "max": 1}, "learning_rate": dimension}
    )
    assert "learning_rate" in message
    assert expected in message


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_bound_has_to_be_finite(tmp_path, number):
    content = f'{{"beta": {{"min": 0, "max": {number}}}}}'
    assert "max is" in error_of(tmp_path, content)


def test_no_message_suggests_an_empty_list_of_an_empty_list(tmp_path):
    assert "[[]]" not in error_of(tmp_path, {"beta": {"feasible_points": []}})


def test_no_message_allows_what_it_has_just_refused(tmp_path):
    message = error_of(tmp_path, {"beta": {"feasible_points": [1], "min": 0}})
    assert "feasible_points (or feasible_points alone)" not in message


@pytest.mark.parametrize("dimension", [{"min": 3, "max": 3}, {"min": 0.5, "max": 0.5}])
@pytest.mark.parametrize("scaling", ["linear", "log"])
def test_a_range_may_be_a_single_value(tmp_path, dimension, scaling):
    space = {"beta": {**dimension, "scaling": scaling}}
    (point,) = study_points(read_search_space(written(tmp_path, space)), 1)
    assert point.beta == dimension["min"]


@pytest.mark.parametrize("point", [3, [], {}, None])
def test_a_point_of_a_list_has_to_be_an_object(tmp_path, point):
    message = error_of(tmp_path, [{"beta": 1}, point])
    assert f"point 2 is {json.dumps(point)}" in message


def test_the_points_of_a_list_need_the_same_names(tmp_path):
    message = error_of(tmp_path, [{"beta": 1, "rho": 2}, {"beta": 1, "tau": 2}])
    assert "point 2 and point 1 do not have the same hyperparameters" in message
    assert "rho, tau" in message


def test_more_names_than_dimensions_are_a_mistake_of_the_user(tmp_path):
    space = {f"h{i}": {"min": 0, "max": 1} for i in range(167)}
    with pytest.raises(UserError, match="166"):
        study_points(read_search_space(written(tmp_path, space)), 1)


def test_a_long_value_is_shortened(tmp_path):
    message = error_of(tmp_path, {"beta": list(range(1_000))})
    assert len(message) < 400 + len(str(tmp_path))
