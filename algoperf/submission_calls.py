"""Calls of a submission's functions: whose error it is, and what they may return."""

import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from algoperf.facts import Facts, UserError
from algoperf.spec import ShapeTuple, TrainingCompleteError
from algoperf.submission import (
    Submission,
    eval_batch_size,
    global_batch_size,
    where_raised,
)


class SubmissionFailed(Exception):
    """A submission function raised; the cause is what it raised."""

    def __init__(self, text: str, function: Callable[..., Any]):
        super().__init__(text)
        self.function = function


@contextmanager
def submission_code(function: Callable[..., Any]) -> Iterator[None]:
    """Marks what goes wrong in a call of `function`, or with what it returned.

    It then ends the submission's own trial and nothing else.
    """
    try:
        yield
    except (UserError, TrainingCompleteError, SubmissionFailed):
        raise  # a data set that is missing or damaged; a submission that is done
    except (Exception, SystemExit) as error:
        raise SubmissionFailed(str(error), function) from error


def batch_sizes(submission: Submission, facts: Facts) -> tuple[int, int | None]:
    """The submission's batch sizes of training and, if it names one, evaluation.

    Raises:
      SubmissionFailed: it raised, or a size does not fit.
    """
    with submission_code(submission.get_batch_size):
        batch_size = global_batch_size(submission, facts, jax.device_count())
    asked = submission.get_eval_batch_size or submission.get_batch_size
    with submission_code(asked):
        return batch_size, eval_batch_size(submission, facts)


def describe_failure(error: BaseException, folder: Path) -> tuple[str, str]:
    """One line that says what failed and where in `folder`, and the traceback.

    An error outside of the submission's own lines, such as a wrong number of arguments
    or of results, is located where the function that it is about begins.
    """
    where = ""
    if isinstance(error, SubmissionFailed) and error.__cause__:
        where = where_defined(error.function, folder)
        error = error.__cause__
    where = where_raised(error, folder) or where
    place = f" (at {where})" if where else ""
    first_line = str(error).partition("\n")[0]
    message = f"failed: {type(error).__name__}: {first_line}{place}"
    return message, "".join(traceback.format_exception(error))


def where_defined(function: Callable[..., Any], folder: Path) -> str:
    """`file.py:12` where a function of the submission's own begins, or empty."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or not Path(code.co_filename).is_relative_to(folder):
        return ""
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}"


def three_values(function: str, returned: Any) -> tuple[Any, Any, Any]:
    """What update_params or prepare_for_eval returned, if it is three values."""
    if isinstance(returned, tuple | list) and len(returned) == 3:
        return returned[0], returned[1], returned[2]
    found = type(returned).__name__
    if isinstance(returned, tuple | list):
        found = f"{len(returned)} values"
    raise ValueError(
        f"{function} returned {found}; it has to return 3 values: optimizer_state, "
        "current_param_container, model_state"
    )


def check_not_donated(params: Any) -> None:
    """Refuses params whose memory a jitted function of the submission has taken."""
    leaves = jax.tree.leaves(params)
    if any(isinstance(leaf, jax.Array) and leaf.is_deleted() for leaf in leaves):
        raise ValueError(
            "the params to evaluate were donated to a jitted function and are gone: "
            "return what it returned, and raise TrainingCompleteError before that call"
        )


def check_params(params: Any, shapes: Any, function: str) -> None:
    """Refuses params that are not the workload's: other names, shapes or types.

    Args:
      function: the one that returned them, for the message.
    """
    _check_tree(params, shapes, function, "parameter")


def check_model_state(model_state: Any, shapes: Any, function: str) -> None:
    """Refuses a model state that is not the workload's; None and {} are the same."""
    _check_tree(model_state or {}, shapes or {}, function, "model state")


def _check_tree(tree: Any, shapes: Any, function: str, thing: str) -> None:
    found, wanted = _kinds_by_path(tree), _kinds_by_path(shapes)
    for path in sorted(found.keys() | wanted.keys()):
        if found.get(path) == wanted.get(path):
            continue
        if path not in found:
            problem = f"did not return {thing} {path} ({wanted[path]})"
        elif path not in wanted:
            what = path or f"({found[path]})"
            problem = f"returned a {thing} {what}, which the workload does not have"
        else:
            problem = (
                f"returned {thing} {path} with {found[path]}; the workload's has "
                f"{wanted[path]}"
            )
        raise ValueError(
            f"{function} {problem}. A submission may not change the model: return "
            "params and model state in the structure they came in."
        )


def _kinds_by_path(tree: Any) -> dict[str, str]:
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): _kind(leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    }


def _kind(leaf: Any) -> str:
    """'shape (3, 4), float32': what a parameter has to keep."""
    if isinstance(leaf, ShapeTuple):
        return f"shape {leaf.shape_tuple}, float32"
    if not hasattr(leaf, "shape"):
        return f"no shape: a {type(leaf).__name__}"
    return f"shape {leaf.shape}, {leaf.dtype}"
