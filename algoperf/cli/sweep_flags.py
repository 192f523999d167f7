"""The flags of `algoperf sweep`."""

from absl import flags

from algoperf.cli.definer import Definer

EXECUTORS = ["local", "slurm", "list"]


def define(values: flags.FlagValues) -> None:
    """Defines every flag of the command."""
    flag = Definer(values)
    _define_plan(flag)
    _define_executors(flag)


def _define_plan(flag: Definer) -> None:
    flag.text("submissions", None, "Names or paths, separated by commas.")
    flag.text("workloads", None, "Names, separated by commas.")
    flag.integer("studies", None, 1, "Studies of each submission on each workload.")
    flag.integer("trials", None, 1, "Trials of a study (external tuning).")
    flag.integer("seed", None, 0, "Seed of all studies; default: drawn, and kept.")
    flag.text("experiment_dir", None, "Where all is written; default: experiments.")
    flag.text("run_flags", None, 'Flags for every `algoperf run`: "--a=1 --b=2".')
    flag.boolean(
        "stop_when_beaten",
        False,
        "Stop a trial when a faster one of its study has reached the target.",
    )
    flag.boolean(
        "stop_when_hopeless",
        False,
        "Stop a trial whose learning curve will hardly get there: a guess.",
    )
    flag.text(
        "reference_runtimes",
        None,
        "JSON file, {workload: seconds}: stop a trial at four times that.",
    )
    flag.boolean("retry_failed", False, "Run failed trials again, from the beginning.")
    flag.text("part", None, "I/N: only part I of N, for N machines that share nothing.")


def _define_executors(flag: Definer) -> None:
    flag.choice(
        "executor",
        "local",
        EXECUTORS,
        "local: processes on this machine; slurm: job arrays; list: print the "
        "command lines.",
    )
    flag.integer(
        "workers", None, 1, "local: trials at a time; default: one a GPU, or one."
    )
    flag.integer("gpus_per_task", 1, 1, "GPUs of a trial, where there are any.")
    flag.integer(
        "max_restarts", 3, 0, "How often a trial whose process died is started again."
    )
    flag.integer("time_limit_min", None, 1, "slurm: minutes of a job; default: budget.")
    flag.text(
        "preflight_json",
        None,
        "slurm: files of `algoperf check --preflight_json`, by commas: time limits by "
        "what they say a trial takes.",
    )
    flag.integer("array_limit", None, 1, "slurm: jobs of an array that run at a time.")
    flag.text("sbatch", None, 'slurm: options of sbatch: "--partition=p --mem=32G".')
