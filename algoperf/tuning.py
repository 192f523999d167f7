"""Tuning search spaces: a JSON file to the hyperparameter points of a study."""

import collections
import json
import keyword
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf.facts import UserError
from algoperf.halton import generate_search

STUDY_STRIDE = 1_000

SearchSpace = Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]]


def read_search_space(path: Path) -> SearchSpace:
    """Reads and checks a search space.

    It is either an object (name -> feasible points or a range, see
    `halton.generate_search`) or a list of complete points.

    Raises:
      UserError: no such file, no JSON, or a content that is not a search space.
    """
    try:
        space = json.loads(path.read_text(), object_pairs_hook=_without_repeats)
    except OSError as error:
        raise UserError(
            f"cannot read the search space {path}: {error.strerror}. "
            "--tuning_search_space names a JSON file."
        ) from None
    except ValueError as error:
        raise UserError(f"the search space {path} is not JSON: {error}") from None
    if not isinstance(space, dict | list) or not space:
        raise UserError(
            f"the search space {path} is {_shown(space)}; it has to be an object "
            '{"learning_rate": {"min": 1e-4, "max": 1e-2, "scaling": "log"}, ...} or a '
            "list of points, and not empty"
        )
    if isinstance(space, list):
        _check_points(path, space)
    else:
        for name, dimension in space.items():
            _check_name(path, name)
            _check_dimension(path, name, dimension)
    return space


def study_points(space: SearchSpace, trials: int, study: int = 0) -> list[Any]:
    """The hyperparameters of every trial of a study, as namedtuples.

    A list gives its first `trials` points, in every study the same. A space is
    sampled: study s gets the points from s * 1,000 on of one quasi-random sequence, so
    that studies are different samples, as AlgoPerf's rules ask for, a longer study
    begins like a shorter one, and study 0 has the set of points that AlgoPerf draws.
    """
    if isinstance(space, Mapping):
        first = study * STUDY_STRIDE
        return generate_search(space, first + trials)[first:]
    if trials > len(space):
        raise UserError(
            f"{trials} tuning trials asked for, but the search space is a list of "
            f"{len(space)} points: --num_tuning_trials may be {len(space)} at most"
        )
    hyperparameters = collections.namedtuple("Hyperparameters", list(space[0]))
    return [hyperparameters(**point) for point in space[:trials]]


def _check_points(path: Path, points: list[Any]) -> None:
    for number, point in enumerate(points, 1):
        if not isinstance(point, dict) or not point:
            raise UserError(
                f"{path}: point {number} is {_shown(point)}; every point of a list is "
                "an object of hyperparameters"
            )
        if point.keys() != points[0].keys():
            odd = sorted(point.keys() ^ points[0].keys())
            raise UserError(
                f"{path}: point {number} and point 1 do not have the same "
                f"hyperparameters; only one of them has {', '.join(odd)}"
            )
    for name in points[0]:
        _check_name(path, name)


def _check_name(path: Path, name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise UserError(
            f"{path}: {name!r} cannot be a hyperparameter: submissions read it as "
            "`hyperparameters.<name>`, so it has to be a Python name without a "
            "leading underscore"
        )


def _check_dimension(path: Path, name: str, dimension: Any) -> None:
    where = f"{path}: {name}"
    if not isinstance(dimension, dict):
        raise UserError(
            f'{where} is {_shown(dimension)}; allowed: {{"feasible_points": [...]}} or '
            '{"min": ..., "max": ..., "scaling": "linear" or "log"}'
        )
    if "feasible_points" in dimension:
        points = dimension["feasible_points"]
        if not isinstance(points, list) or not points:
            raise UserError(
                f"{where}: feasible_points is {_shown(points)}; it has to be a list "
                "with at least one value, such as [0.9, 0.99]"
            )
        _check_keys(where, dimension, {"feasible_points"})
        return
    _check_keys(where, dimension, {"min", "max", "scaling"})
    for key in ("min", "max"):
        if not _is_number(dimension.get(key)):
            raise UserError(
                f"{where}: {key} is {_shown(dimension.get(key))}; it has to be a number"
            )
    scaling = dimension.get("scaling", "linear")
    if scaling not in ("linear", "log"):
        raise UserError(f"{where}: scaling is {_shown(scaling)}; allowed: linear, log")
    low, high = dimension["min"], dimension["max"]
    if low > high:
        raise UserError(f"{where}: min {low} is greater than max {high}; swap them")
    if scaling == "log" and low <= 0:
        raise UserError(
            f"{where}: min is {low}, but a log scale needs a min greater than 0"
        )


def _check_keys(where: str, dimension: dict[str, Any], allowed: set[str]) -> None:
    unknown = sorted(dimension.keys() - allowed)
    if unknown:
        raise UserError(
            f"{where} has {', '.join(map(repr, unknown))}; allowed: feasible_points "
            "alone, or min, max and scaling"
        )


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is there twice")
    return content


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
