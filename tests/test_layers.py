"""Imports go one way: down a declared order, and never by surprise."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Lowest first. A module imports modules of layers below its own, never of its own.
LAYERS = [
    ["algoperf", "facts", "data_options", "compat"],
    ["records", "spec", "cluster", "seconds", "witness", "host_memory"],
    ["hosts", "stop_request", "file_lock", "watchdog", "own_code", "snapshot"],
    ["audit", "allowed", "confine", "folder_watch"],
    ["sweep", "sweep.plan", "sweep.pinning", "sweep.child", "sweep.tasks"],
    ["sweep.supervise", "trial_process"],
    ["sweep.scan"],
    ["sweep.record", "sweep.status", "sweep.local", "sweep.array_task"],
    ["sweep.lock", "sweep.merge", "sweep.slurm"],
    ["prepare", "prepare.manifest", "prepare.lock", "prepare.meter"],
    ["prepare.plan"],
    ["prepare.raw"],
    ["prepare.download"],
    ["prepare.tasks"],
    ["prepare.run"],
    ["prepare.verify"],
    ["jax_sharding_utils", "random_utils", "halton", "losses", "layers"],
    ["clock", "metrics", "data", "param_types", "leaves", "tuning"],
    ["token_losses"],
    ["param_utils", "data_utils", "read_ahead", "eval_cache", "random_data"],
    ["jax_utils", "schedules", "example_scores"],
    ["optimizers", "optax_submission"],
    ["evaluate", "old_package"],
    ["submission", "workload"],
    ["submission_calls", "handed_workload"],
    ["pmap_style", "train_state", "watch"],
    ["device_memory", "hardware_probe", "compile_cache", "trackers"],
    ["checkpoint", "environment", "metrics_logger", "profiling", "progress"],
    ["limits", "trial_folder", "submission_rules", "dynamics"],
    ["prediction"],
    ["early_stop"],
    ["observer", "train_state"],
    ["trial", "study"],
    ["trial_record", "submission_check", "trial_settings"],
    ["compiled_step"],
    ["preflight"],
    ["trial_parts"],
    ["trial_run"],
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}

FACTS = sorted((ROOT / "workloads").glob("*/facts.py"))

MAY_IMPORT_FLAX = {
    "algoperf.layers",
    "algoperf.param_types",
    "algoperf.workload",
}
SCORING_MAY_IMPORT_PACKAGES = sys.stdlib_module_names | {"numpy", "absl", "scoring"}
SCORING_MAY_IMPORT = {
    "algoperf",  # its version
    "algoperf.facts",
    "algoperf.records",
    "algoperf.cli.flag_parsing",
    "workloads.catalog",
}


# A package whose modules may import each other.
PACKAGE = "optimizers"


def short(name: str) -> str:
    """The name in LAYERS of a module of the harness."""
    name = name.removeprefix("algoperf.")
    return PACKAGE if name.startswith(f"{PACKAGE}.") else name


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for folder in ("algoperf", "workloads", "scoring")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
HARNESS = [
    name
    for name in MODULES
    if name.split(".")[0] == "algoperf"
    and not name.startswith("algoperf.cli")
    and name != "algoperf.__main__"  # only calls the command line
]
SCORING = [name for name in MODULES if name.split(".")[0] == "scoring"]


def imports(name: str) -> set[str]:
    """Modules that a module imports anywhere but in `if TYPE_CHECKING:`."""
    found: set[str] = set()
    for node in running_code(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import, line {node.lineno}"
            assert node.module
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
    return found


def running_code(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        only_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(
            child.test
        )
        if not only_types:
            yield from running_code(child)


def packages(name: str) -> set[str]:
    return {module.split(".")[0] for module in imports(name)}


def test_every_module_has_a_layer():
    assert {short(name) for name in HARNESS} == set(LAYER)


@pytest.mark.parametrize("name", HARNESS)
def test_the_harness_imports_from_lower_layers_only(name):
    own = short(name)
    for module in imports(name):
        if module.split(".")[0] == "algoperf" and short(module) != PACKAGE:
            assert not module.startswith("algoperf.cli"), module
            assert LAYER[short(module)] < LAYER[own], module
        elif module.split(".")[0] == "algoperf" and own != PACKAGE:
            assert LAYER[PACKAGE] < LAYER[own], module


@pytest.mark.parametrize("name", HARNESS)
def test_the_harness_knows_no_workload_submission_or_scoring(name):
    assert not packages(name) & {"workloads", "submissions", "scoring", "tests"}


def test_facts_need_the_standard_library_alone():
    for name in ("algoperf.facts", "algoperf.records"):
        assert packages(name) <= sys.stdlib_module_names
    for name in ("algoperf.cluster", "algoperf.file_lock", "algoperf.stop_request"):
        assert packages(name) <= sys.stdlib_module_names | {"algoperf"}
        assert {m for m in imports(name) if m.startswith("algoperf")} <= {
            "algoperf.cluster",
            "algoperf.facts",
            "algoperf.records",
        }
    sweep = [name for name in HARNESS if name.startswith("algoperf.sweep")]
    for name in sweep:
        assert packages(name) <= sys.stdlib_module_names | {"algoperf"}
        inside = {m for m in imports(name) if m.startswith("algoperf")}
        assert inside <= {
            "algoperf",
            "algoperf.facts",
            "algoperf.file_lock",
            "algoperf.records",
            "algoperf.stop_request",
            "algoperf.watchdog",
            *sweep,
        }
    facts = [f"workloads.{file.parent.name}.facts" for file in FACTS]
    for name in ("workloads.catalog", "workloads.files", *facts):
        assert packages(name) <= sys.stdlib_module_names | {"algoperf", "workloads"}
        assert {m for m in imports(name) if m.startswith("algoperf")} <= {
            "algoperf.facts",
            "algoperf.prepare.manifest",
        }
    assert packages("algoperf.prepare.manifest") <= sys.stdlib_module_names | {
        "algoperf"
    }


@pytest.mark.parametrize("name", SCORING)
def test_scoring_imports_facts_records_and_the_catalog(name):
    for module in imports(name):
        if (name, module) == ("scoring.score_report", "pandas"):
            continue  # only when the user asks for a frame
        package = module.split(".")[0]
        assert package in SCORING_MAY_IMPORT_PACKAGES or module in SCORING_MAY_IMPORT, (
            module
        )


@pytest.mark.parametrize("name", MODULES)
def test_flax_stays_in_models_and_three_modules(name):
    of_a_workload = name.startswith("workloads.") and name.count(".") == 2
    if "flax" in packages(name):
        assert of_a_workload or name in MAY_IMPORT_FLAX


@pytest.mark.parametrize("name", MODULES)
def test_nothing_imports_tensorflow(name):
    assert "tensorflow" not in packages(name)


def python(code: str) -> str:
    """Runs code in a process of its own; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


HEAVY = "{'jax', 'flax', 'optax', 'orbax', 'grain', 'tensorflow_datasets'}"


@pytest.mark.parametrize(
    "code",
    [
        "from algoperf.cli.main import main; main(['--help'])",
        "from algoperf.cli.main import main; main(['--version'])",
        "from algoperf.cli.main import main; main(['list'])",
        "from algoperf.cli.main import main; main(['run', '--help'])",
        "from algoperf.cli.main import main; main(['score', '--help'])",
        "import algoperf.cli.sweep_command",
        "import algoperf.cli.isolated",
        "import algoperf.cli.status_command, algoperf.cli.merge_command",
        "import scoring.cli",
        "import workloads.catalog",
    ],
)
def test_what_should_be_quick_does_not_import_jax(code):
    output = python(f"{code}\nimport sys; print('heavy:', {HEAVY} & set(sys.modules))")
    assert output.splitlines()[-1] == "heavy: set()"


def test_importing_everything_does_nothing(tmp_path):
    names = [name for name in MODULES if name != "algoperf.__main__"]
    python(
        f"""
import importlib, os, sys
os.chdir({str(tmp_path)!r})
for name in {names}:
    importlib.import_module(name)

import jax
assert not jax._src.xla_bridge.backends_are_initialized(), "a device was touched"

from absl import flags
ours = ("algoperf", "workloads", "scoring")
defined = [m for m in flags.FLAGS.flags_by_module_dict() if m.split(".")[0] in ours]
assert not defined, f"global flags of {{defined}}"

assert not os.listdir(), "files were written"
assert "tensorflow" not in sys.modules
"""
    )


def test_importing_the_main_module_runs_nothing():
    assert python("import algoperf.__main__; print('imported')") == "imported\n"
