"""Loads a submission: all probing of what it defines happens once, here."""

import functools
import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from algoperf.compat import supply_removed_names
from algoperf.facts import Facts, UserError
from algoperf.old_package import provide_old_package
from algoperf.spec import (
    DataSelectionFn,
    InitOptimizerFn,
    PrepareForEvalFn,
    UpdateParamsFn,
)

# The package every submission is imported into; one at a time. Pickles in checkpoints
# name it, so it must not depend on where the submission's folder is.
_PACKAGE = "algoperf_submission"
_OURS = ("algoperf", "workloads", "scoring")

REQUIRED = ("get_batch_size", "init_optimizer_state", "update_params")
OPTIONAL = ("prepare_for_eval", "data_selection", "get_eval_batch_size")


class Submission(NamedTuple):
    """A training algorithm: AlgoPerf's functions of one plain module."""

    path: Path
    source_digest: str  # of its file and the helpers that importing it imports
    get_batch_size: Callable[[str], int]
    init_optimizer_state: InitOptimizerFn
    update_params: UpdateParamsFn
    prepare_for_eval: PrepareForEvalFn
    data_selection: DataSelectionFn
    get_eval_batch_size: Callable[[str], int] | None
    sources: tuple[Path, ...]  # its file and those helpers


def keep_everything(
    *, optimizer_state, current_param_container, model_state, **unused
) -> Any:
    """The default `prepare_for_eval`: evaluates what training has."""
    del unused
    return optimizer_state, current_param_container, model_state


def next_batch(workload, input_queue, *unused) -> Any:
    """The default `data_selection`: the next batch."""
    del workload, unused
    return next(input_queue)


def submission_file(path: Path) -> Path:
    """The file of a submission given by its file or its folder."""
    file = path / "submission.py" if path.is_dir() else path
    if not file.is_file():
        raise UserError(
            f"no submission at {path}: --submission_path is a Python file or a folder "
            "with a submission.py"
        )
    return file.absolute()


def load_submission(path: Path) -> Submission:
    """Imports a submission afresh, as a package of its own.

    Relative imports, helper modules beside the file, and files found through
    `__file__` work from any working directory. Every call executes the module anew:
    a second trial starts with nothing compiled, like the first.

    Raises:
      UserError: the file cannot be imported, or lacks a required function.
    """
    file = submission_file(path)
    module, helpers = _import(file)
    missing = [name for name in REQUIRED if not callable(getattr(module, name, None))]
    if missing:
        raise UserError(
            f"{file} has no function {' and '.join(f'`{name}`' for name in missing)}; "
            f"a submission defines {', '.join(REQUIRED)}, and may define "
            "prepare_for_eval and data_selection"
        )
    for name in OPTIONAL:
        if not callable(getattr(module, name, keep_everything)):
            found = type(getattr(module, name)).__name__
            raise UserError(f"`{name}` of {file} is a {found}; it has to be a function")
    return Submission(
        path=file,
        source_digest=_source_digest(file, helpers),
        get_batch_size=module.get_batch_size,
        init_optimizer_state=module.init_optimizer_state,
        update_params=_without_unwanted_state(module.update_params),
        prepare_for_eval=getattr(module, "prepare_for_eval", keep_everything),
        data_selection=getattr(module, "data_selection", next_batch),
        get_eval_batch_size=getattr(module, "get_eval_batch_size", None),
        sources=tuple(dict.fromkeys((file, *helpers))),
    )


def eval_batch_size(submission: Submission, facts: Facts) -> int:
    """The submission's batch size for evaluations; the workload's if it names none."""
    if submission.get_eval_batch_size is None:
        return facts.eval_batch_size
    return _named_size(
        submission, "get_eval_batch_size", facts, default=facts.eval_batch_size
    )


def global_batch_size(submission: Submission, facts: Facts, devices: int) -> int:
    """The submission's batch size for a workload, checked.

    Public submissions look the name up in a table and raise ValueError or KeyError
    for one that they do not know: a full-scale variant then asks for its base, and
    anything else takes the workload's own default.

    Raises:
      ValueError: no positive whole number, or one that does not divide over devices.
    """
    size = _named_size(submission, "get_batch_size", facts, default=facts.batch_size)
    if size % devices:
        below, above = size - size % devices, size - size % devices + devices
        nearest = f"{below}, {above}" if below else f"{above}"
        raise ValueError(
            f"batch size {size} on {facts.name} does not divide over {devices} "
            f"devices; nearest sizes: {nearest}"
        )
    return size


def _named_size(
    submission: Submission, function: str, facts: Facts, default: int
) -> int:
    names = [facts.name]
    if facts.scale == "full" and facts.base != facts.name:
        names.append(facts.base)
    size: Any = default
    for name in names:
        try:
            size = getattr(submission, function)(name)
            break
        except (ValueError, KeyError):
            continue
    if isinstance(size, bool) or not hasattr(size, "__index__") or int(size) < 1:
        raise ValueError(
            f"{function}({facts.name!r}) gave {size!r}; it has to be a positive whole "
            "number"
        )
    return int(size)


def where_raised(error: BaseException, folder: Path) -> str:
    """`file.py:12` of the innermost line of the submission's own code, or empty."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""


def _import(file: Path) -> tuple[ModuleType, list[Path]]:
    """Executes the file within a package made for its folder: (module, its helpers)."""
    if file.suffix != ".py":
        raise UserError(f"{file} is not a Python file: a submission ends in .py")
    _forget_earlier_submission()
    supply_removed_names()
    provide_old_package()
    folder = file.parent
    package = ModuleType(_PACKAGE)
    package.__path__ = [str(folder)]
    before = set(sys.modules)
    package.modules_before = before  # type: ignore[attr-defined]
    sys.modules[_PACKAGE] = package
    # The file's name need not be a module's: `adam.v2.py` is fine.
    name = f"{_PACKAGE}." + re.sub(r"\W", "_", file.stem)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # Helper modules beside it may be imported by their bare names, also later on.
    sys.path.insert(0, str(folder))
    try:
        with _source_only():
            spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UserError(
            f"{error.filename or file} cannot be imported: {error.msg} "
            f"(line {error.lineno})"
        ) from error
    except (Exception, SystemExit) as error:
        where = where_raised(error, folder)
        raise UserError(
            f"{file} cannot be imported: {type(error).__name__}: {error} "
            f"(at {where or 'import'})"
        ) from error
    return module, list(_helpers(folder, before).values())


def _forget_earlier_submission() -> None:
    """Takes an earlier submission and its helpers out of Python's tables.

    A helper of the same name in another folder must not be taken for this one's.
    """
    package = sys.modules.pop(_PACKAGE, None)
    if package is None:
        return
    for folder in package.__path__:
        for module in _helpers(Path(folder), package.modules_before):
            sys.modules.pop(module, None)
        if folder in sys.path:
            sys.path.remove(folder)


@contextmanager
def _source_only() -> Iterator[None]:
    """Imports from source: bytecode of a file edited within a second looks current."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _helpers(folder: Path, before: set[str]) -> dict[str, Path]:
    """Modules from the folder that were not loaded before, by name."""
    files = {
        name: Path(file)
        for name, module in list(sys.modules.items())
        if name not in before and (file := getattr(module, "__file__", None))
    }
    return {
        name: file
        for name, file in files.items()
        # A virtual environment or this project may lie in the folder: no helpers.
        if file.is_relative_to(folder)
        and "site-packages" not in file.parts
        and name.partition(".")[0] not in _OURS
    }


def _source_digest(file: Path, helpers: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for source in sorted({file, *helpers}):
        digest.update(source.relative_to(file.parent).as_posix().encode() + b"\0")
        digest.update(source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _without_unwanted_state(update_params: Callable[..., Any]) -> UpdateParamsFn:
    """`update_params` for a caller that always passes `train_state`."""
    parameters = inspect.signature(update_params).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if "train_state" in parameters or takes_any:
        return update_params

    @functools.wraps(update_params)
    def without_train_state(*, train_state, **arguments):
        del train_state
        return update_params(**arguments)

    return without_train_state
