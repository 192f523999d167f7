"""What a submission's files do that the rules forbid, found by reading them.

A reading, not a proof: code can hide from it, and what it finds may be harmless. Each
finding has the file and line for a person to look at. Standard library only.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What a submission may use of a workload (docs/submissions.md).
CONTRACT = _words(
    """
    attach_metrics_logger eval_batch_size eval_period_time_sec
    has_reached_test_target has_reached_validation_target init_model_fn
    is_output_params loss_fn loss_type max_allowed_runtime_sec metrics_logger model_fn
    model_params_types num_eval_train_examples num_test_examples num_train_examples
    num_validation_examples output_activation_fn param_shapes step_hint
    target_metric_name test_target_value train_mean train_stddev validation_target_value
    """
)
# Functions that are given a workload's name to answer with a batch size.
_MAY_KNOW_NAMES = ("get_batch_size", "get_eval_batch_size")
_EVALUATES = ("eval_model", "_eval_model_on_split", "_build_input_queue", "data")
_NETWORK = _words(
    "aiohttp ftplib grpc http httpx requests smtplib socket ssl urllib urllib3"
)
_PROCESSES = frozenset(("multiprocessing", "subprocess"))
_OPENS = _words(
    """
    open read_bytes read_text write_bytes write_text load save savez loadtxt savetxt
    fromfile memmap
    """
)
_FILE_OWNERS = frozenset(("np", "numpy", "jnp", "pickle", "json", "torch", "joblib"))
_WAITS = frozenset(("block_until_ready", "device_get", "item", "tolist"))


@dataclass(frozen=True, order=True)
class Finding:
    """One place: `rule` says what kind, `what` what is there."""

    file: str
    line: int
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.what}"


def findings(
    sources: Iterable[Path], workload_names: Iterable[str]
) -> tuple[Finding, ...]:
    """Everything found in a submission's files, by file and line.

    Args:
      sources: its file and its helpers.
      workload_names: names that only the batch-size functions may compare with.

    Raises:
      SyntaxError: a file is no Python.
    """
    names = frozenset(workload_names)
    found: set[Finding] = set()
    for path in sources:
        reader = _Reader(path.name, names)
        reader.visit(ast.parse(path.read_bytes(), str(path)))
        found.update(reader.found)
    return tuple(sorted(found))


class _Reader(ast.NodeVisitor):
    """Walks one file and notes what it finds."""

    def __init__(self, file: str, workload_names: frozenset[str]):
        self.file, self.workload_names = file, workload_names
        self.functions: list[str] = []
        self.found: list[Finding] = []

    def note(self, node: ast.AST, rule: str, what: str) -> None:
        self.found.append(Finding(self.file, getattr(node, "lineno", 0), rule, what))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.functions.append(node.name)
        self.generic_visit(node)
        self.functions.pop()

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._imported(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module and not node.level:
            self._imported(node, node.module)
            for alias in node.names:
                if (node.module, alias.name) in (("os", "environ"), ("os", "getenv")):
                    self.note(node, "environment variables", f"os.{alias.name}")

    def _imported(self, node: ast.AST, name: str) -> None:
        top = name.partition(".")[0]
        if top in _NETWORK:
            self.note(node, "network", f"import {name}")
        elif top in _PROCESSES:
            self.note(node, "other processes", f"import {name}")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        owner = _name_of(node.value)
        if owner == "os" and node.attr in ("environ", "getenv", "putenv"):
            self.note(node, "environment variables", f"os.{node.attr}")
        elif owner == "os" and node.attr in ("system", "popen", "fork"):
            self.note(node, "other processes", f"os.{node.attr}")
        elif owner == "workload" and node.attr in _EVALUATES:
            what = f"workload.{node.attr}"
            self.note(node, "reads validation or test data", what)
        elif owner == "workload" and node.attr not in CONTRACT:
            what = f"workload.{node.attr} is no part of the contract"
            self.note(node, "looks into the workload", what)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else _name_of(called)
        owner = _name_of(called.value) if isinstance(called, ast.Attribute) else None
        if self._opens_a_file(name, owner, called) and not _beside(node):
            self.note(node, "files", f"{ast.unparse(called)}(...)")
        looks = name in ("getattr", "hasattr", "vars", "dir") and node.args
        if looks and _name_of(node.args[0]) == "workload":
            self.note(node, "looks into the workload", f"{name}(workload, ...)")
        if name in _WAITS and isinstance(called, ast.Attribute) and self.functions:
            what = f"{ast.unparse(called)}(...)"
            self.note(node, "waits for the device", what)
        self.generic_visit(node)

    def _opens_a_file(self, name: str | None, owner: str | None, called) -> bool:
        if name not in _OPENS:
            return False
        if not isinstance(called, ast.Attribute):
            return name == "open"
        # `Path(...).read_text()`, `np.load(...)`, but not `model.load(...)`.
        is_method = name.startswith(("read_", "write_")) or name == "open"
        return is_method or owner in _FILE_OWNERS

    def visit_Compare(self, node: ast.Compare) -> None:
        if not set(self.functions) & set(_MAY_KNOW_NAMES):
            for part in _strings(node):
                if part.value in self.workload_names:
                    what = f"compares with {part.value!r}"
                    self.note(node, "branches on workload names", what)
        self.generic_visit(node)


def _name_of(node: ast.AST) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


def _strings(node: ast.AST) -> Iterator[ast.Constant]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part


def _beside(node: ast.AST) -> bool:
    """Whether a call names `__file__`: data beside the submission is its own."""
    return any(_name_of(part) == "__file__" for part in ast.walk(node))
