"""The flags of `algoperf run`: AlgoPerf's names and meanings, and a few more."""

from absl import flags

from algoperf.facts import UserError

# Flags of AlgoPerf's runner that have no meaning here -> what to do instead.
REFUSED = {
    "torch_compile": "there is no PyTorch here; leave it out",
    "set_pytorch_max_split_size": "there is no PyTorch here; leave it out",
    "pytorch_eval_num_workers": "there is no PyTorch here; leave it out",
    "use_wandb": (
        "every trial writes eval_measurements.csv and measurements.csv, which any "
        "dashboard reads; leave it out"
    ),
}


def define(values: flags.FlagValues) -> None:
    """Defines every flag of the command."""

    def text(name: str, default: str | None, help_text: str) -> None:
        flags.DEFINE_string(name, default, help_text, flag_values=values)

    def boolean(name: str, default: bool, help_text: str) -> None:
        flags.DEFINE_boolean(name, default, help_text, flag_values=values)

    def integer(name: str, default: int | None, help_text: str, lower: int) -> None:
        flags.DEFINE_integer(
            name, default, help_text, lower_bound=lower, flag_values=values
        )

    text("workload", None, "Workload, or several separated by commas.")
    text("submission_path", None, "File, folder, or name of a bundled submission.")
    flags.DEFINE_enum(
        "tuning_ruleset",
        None,
        ["external", "self"],
        "Default: external where there is a search space, else self.",
        flag_values=values,
    )
    text(
        "tuning_search_space",
        None,
        "JSON file; default: tuning_search_space.json beside the submission.",
    )
    integer("num_tuning_trials", 1, "Trials of a study (external tuning).", 1)
    integer("hparam_start_index", None, "First trial to run, counted from 0.", 0)
    integer("hparam_end_index", None, "Trial to stop before, counted from 0.", 1)
    integer("num_studies", 1, "Studies to run.", 1)
    integer("study_index", None, "Run this one study, counted from 0.", 0)
    text("experiment_dir", "experiments", "Where all experiments are.")
    text(
        "experiment_name",
        None,
        "Folder of this submission below experiment_dir; default: the submission's "
        "name. NAME/study_2 means study 2.",
    )
    boolean("append_timestamp", False, "Append date and time to experiment_name.")
    boolean("overwrite", False, "Delete what these trials wrote before.")
    boolean(
        "resume_last_run",
        False,
        "Accepted: the same command line always continues where it stopped.",
    )
    text("data_dir", None, "Folder with a folder for each data set.")
    text(
        "imagenet_v2_data_dir",
        None,
        "Folder of the ImageNet test set; other workloads do not read it.",
    )
    text(
        "librispeech_tokenizer_vocab_path",
        None,
        "Tokenizer of the speech workloads; other workloads do not read it.",
    )
    text("rng_seed", None, "Seed of the experiment, 0 to 2**32 - 1; default: drawn.")
    integer("max_global_steps", None, "End trials after this many steps.", 1)
    integer(
        "eval_every_steps",
        None,
        "Evaluate every so many steps instead of the workload's period.",
        1,
    )
    flags.DEFINE_float(
        "max_runtime_factor",
        None,
        "Times the workload's budget; default: 1, and 1.5 under self-tuning.",
        lower_bound=0.0,
        flag_values=values,
    )
    boolean("save_checkpoints", True, "Save a checkpoint at every evaluation.")
    boolean(
        "save_intermediate_checkpoints",
        False,
        "Keep all checkpoints, not only the latest two.",
    )
    boolean("skip_evals", False, "Train without evaluating, to measure throughput.")
    boolean("profile", False, "Write a jax.profiler trace of a few steps.")
    boolean("capture_jax_trace", False, "The same as --profile.")
    flags.DEFINE_enum(
        "framework", "jax", ["jax", "pytorch"], "Only jax.", flag_values=values
    )
    for name in ("torch_compile", "use_wandb"):
        boolean(name, False, f"Refused: {REFUSED[name]}.")
    for name in ("set_pytorch_max_split_size", "pytorch_eval_num_workers"):
        text(name, None, f"Refused: {REFUSED[name]}.")


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
    for name in ("workload", "submission_path"):
        if not values[name].value:
            raise UserError(
                f"--{name} is missing; `algoperf list` shows what there is."
            )
