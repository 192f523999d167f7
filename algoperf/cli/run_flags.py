"""The flags of `algoperf run`: AlgoPerf's names and meanings, and a few more."""

from importlib.util import find_spec

from absl import flags

from algoperf.cli import cluster_flags, run_data
from algoperf.cli.definer import Definer
from algoperf.facts import UserError, closest

# Flags of AlgoPerf's runner that have no meaning here -> what to do instead.
REFUSED = {
    "torch_compile": "there is no PyTorch here; leave it out",
    "set_pytorch_max_split_size": "there is no PyTorch here; leave it out",
    "pytorch_eval_num_workers": "there is no PyTorch here; leave it out",
}


# Charts besides the files -> (the module they need, the extra that installs it).
TRACKERS = {
    "tensorboard": ("tensorboardX", "tensorboard"),
    "wandb": ("wandb", "wandb"),
    "mlflow": ("mlflow", "mlflow"),
}


def define(values: flags.FlagValues) -> None:
    """Defines every flag of the command."""
    flag = Definer(values)
    _define_what(flag)
    _define_where(flag)
    run_data.define(flag)
    _define_how(flag)
    _define_checkpoints(flag)
    cluster_flags.define(flag)
    _define_machine(flag)
    _define_isolation(flag)
    _define_watching(flag)
    _define_preflight(flag)
    flag.boolean("torch_compile", False, f"Refused: {REFUSED['torch_compile']}.")
    for name in ("set_pytorch_max_split_size", "pytorch_eval_num_workers"):
        flag.text(name, None, f"Refused: {REFUSED[name]}.")


def _define_what(flag: Definer) -> None:
    flag.text("workload", None, "Workload, or several separated by commas.")
    flag.text("submission_path", None, "File, folder, or name of a bundled submission.")
    flag.choice(
        "tuning_ruleset",
        None,
        ["external", "self"],
        "Default: external where there is a search space, else self.",
    )
    flag.text(
        "tuning_search_space",
        None,
        "JSON file; default: tuning_search_space.json beside the submission.",
    )
    flag.integer("num_tuning_trials", 1, 1, "Trials of a study (external tuning).")
    flag.integer("hparam_start_index", None, 0, "First trial to run, counted from 0.")
    flag.integer("hparam_end_index", None, 1, "Trial to stop before, counted from 0.")
    flag.integer("num_studies", 1, 1, "Studies to run.")
    flag.integer("study_index", None, 0, "Run this one study, counted from 0.")
    flag.text(
        "rng_seed", None, "Seed of the experiment, 0 to 2**32 - 1; default: drawn."
    )
    flag.choice("framework", "jax", ["jax", "pytorch"], "Only jax.")


def _define_where(flag: Definer) -> None:
    flag.text("experiment_dir", "experiments", "Where all experiments are.")
    flag.text(
        "experiment_name",
        None,
        "Folder of this submission below experiment_dir; default: the submission's "
        "name. NAME/study_2 means study 2.",
    )
    flag.boolean("append_timestamp", False, "Append date and time to experiment_name.")
    flag.boolean("overwrite", False, "Delete what these trials wrote before.")
    flag.boolean(
        "resume_last_run",
        False,
        "Accepted: the same command line always continues where it stopped.",
    )


def _define_how(flag: Definer) -> None:
    flag.integer("max_global_steps", None, 1, "End trials after this many steps.")
    flag.integer(
        "eval_every_steps", None, 1, "Steps between evaluations; default: by workload."
    )
    flag.integer(
        "eval_batch_size",
        None,
        1,
        "Batch size of evaluations; default: the submission's, or the workload's.",
    )
    flag.number(
        "max_runtime_factor",
        0.0,
        "Times the workload's budget; default: 1, and 1.5 under self-tuning.",
    )
    flag.boolean(
        "stop_when_beaten",
        False,
        "External tuning: end a trial once a sibling has reached the target in less "
        "time than it has spent.",
    )
    flag.boolean(
        "stop_when_hopeless",
        False,
        "End a trial whose learning curve will hardly get to the target: a guess, "
        "which may cost a score.",
    )
    flag.text(
        "reference_runtimes",
        None,
        "JSON file, {workload: seconds}: end a trial at four times that, from where "
        "it cannot score.",
    )
    flag.choice(
        "submission_style",
        "auto",
        ["auto", "jit", "pmap"],
        "pmap: arrays with a leading device axis, as until 2024; auto: by its use of "
        "jax.pmap.",
    )
    flag.boolean("skip_evals", False, "Train without evaluating: for throughput.")


def _define_checkpoints(flag: Definer) -> None:
    flag.boolean("save_checkpoints", True, "Save a checkpoint at every evaluation.")
    flag.boolean(
        "save_intermediate_checkpoints",
        False,
        "Keep all checkpoints, not only the latest two.",
    )
    flag.number(
        "checkpoint_every_s",
        1e-3,
        "Save a checkpoint between evaluations too, after so many seconds of "
        "submission time without one.",
    )


def _define_machine(flag: Definer) -> None:
    flag.text(
        "compilation_cache_dir",
        None,
        "Folder for compiled programs, shared by trials and processes; auto: "
        ".compilation_cache in experiment_dir.",
    )
    flag.boolean(
        "charge_compile",
        True,
        "Compiling counts as the submission's time, as in AlgoPerf, also what a cache "
        "saves; with --nocharge_compile neither does. trial.json has both numbers.",
    )
    flag.choice(
        "probe",
        "quick",
        ["off", "quick", "full"],
        "How long to measure this machine's speed before the first trial: about 1 s, "
        "or 10 s; `algoperf score` compares what it found.",
    )


def _define_isolation(flag: Definer) -> None:
    flag.choice(
        "isolate",
        "off",
        ["off", "process", "strict"],
        "process: each trial in a process of its own, with few environment variables "
        "and another home, timed by this one; strict: also without network and without "
        "the files of other trials (docs/isolation.md). `algoperf sweep`: process.",
    )


def _define_watching(flag: Definer) -> None:
    flag.number(
        "step_timeout",
        0.0,
        "Seconds without a step or a batch of an evaluation (ten times as many for the "
        "first ones) after which the stacks go to hang.txt and the process ends; "
        "default: 0, never.",
        default=0.0,
    )
    flag.text(
        "trackers",
        None,
        f"Charts besides the files, by commas: {', '.join(TRACKERS)}. What goes wrong "
        "there does not end a run.",
    )
    flag.boolean("use_wandb", False, "The same as --trackers=wandb.")
    flag.boolean("profile", False, "Write a jax.profiler trace of a few steps.")
    flag.boolean("capture_jax_trace", False, "The same as --profile.")
    flag.boolean(
        "log_dynamics",
        False,
        "At evaluations, and off the clock, measure how large params, updates, "
        "gradients and logits are, into measurements.csv.",
    )


def _define_preflight(flag: Definer) -> None:
    flag.boolean(
        "dry_run",
        False,
        "Compile, run a few steps, print memory, hours and disk, and write nothing.",
    )
    flag.integer("steps", 3, 0, "Timed steps of a pre-flight; 0: only compile.")
    flag.number(
        "measure_s",
        0.0,
        "Seconds a pre-flight may run steps of a workload that take long.",
        default=60.0,
    )
    flag.number(
        "device_memory_gb",
        0.0,
        "Memory of a device (10**9 bytes) that a pre-flight compares with; default: "
        "what this one has.",
    )
    flag.text("preflight_json", None, "File for what a pre-flight found.")


def trackers(values: flags.FlagValues) -> tuple[str, ...]:
    """The names of the trackers asked for.

    Raises:
      UserError: there is none of that name, or what it needs is not installed.
    """
    names = [name.strip() for name in (values.trackers or "").split(",")]
    names = [name for name in names if name] + ["wandb"] * values.use_wandb
    for name in names:
        if name not in TRACKERS:
            raise UserError(
                f"--trackers has {name!r}; {closest(name, TRACKERS)}it takes "
                f"{', '.join(TRACKERS)}, by commas."
            )
        module, extra = TRACKERS[name]
        if find_spec(module) is None:
            raise UserError(
                f"--trackers={name} needs the package {module}, which is not "
                f"installed: pip install 'algoperf-jax[{extra}]'."
            )
    return tuple(dict.fromkeys(names))


def check(values: flags.FlagValues) -> None:
    """Refuses what cannot be run here.

    Raises:
      UserError: a flag without a meaning here, or a required one that is missing.
    """
    for name, instead in REFUSED.items():
        if values[name].value not in (None, False):
            raise UserError(f"--{name} is not supported: {instead}.")
    if values.framework != "jax":
        raise UserError(
            "--framework=pytorch is not supported: this harness trains in JAX. Run "
            "PyTorch submissions with AlgoPerf; `algoperf score` reads their logs."
        )
    if values.log_dynamics and values.skip_evals:
        raise UserError(
            "--log_dynamics with --skip_evals: it measures at evaluations. Leave one "
            "of them out."
        )
    if values.checkpoint_every_s is not None and not values.save_checkpoints:
        raise UserError(
            f"--checkpoint_every_s={values.checkpoint_every_s:g} with "
            "--nosave_checkpoints: there is nothing to save. Leave one of them out."
        )
    for name in ("workload", "submission_path"):
        if not values[name].value:
            raise UserError(
                f"--{name} is missing; `algoperf list` shows what there is."
            )
