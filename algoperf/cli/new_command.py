"""`algoperf new`: a submission to start from. Standard library only, but for absl."""

import keyword
from pathlib import Path

from absl import flags

from algoperf.cli.bundled import SEARCH_SPACE, bundled_submissions
from algoperf.cli.flag_parsing import HelpShown, parse
from algoperf.facts import UserError

USAGE = """algoperf new NAME: a folder NAME with a submission to start from

submission.py with an optax optimizer and comments, its search space, and a test that
runs it. Next: algoperf check NAME"""

SUBMISSION = '''"""{name}: say in one line what it is (`algoperf list` shows it)."""

import optax

from algoperf.optax_submission import optax_submission
from algoperf.schedules import warmup_cosine


def optimizer(hyperparameters, step_hint):
    """Your algorithm, as an optax optimizer.

    `hyperparameters` has an attribute for every name in tuning_search_space.json.
    `step_hint` is about how many steps a workload takes: schedules go by it. More rules
    for the learning rate are in algoperf/schedules.py.
    """
    return optax.chain(
        # Replace this line: (gradients, state, params) -> (direction, state).
        optax.scale_by_adam(
            b1=1.0 - hyperparameters.one_minus_beta1, b2=hyperparameters.beta2
        ),
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.scale_by_learning_rate(warmup_cosine(hyperparameters, step_hint)),
    )


# The functions that AlgoPerf calls. `dropout_rate`, `label_smoothing` and `grad_clip`
# are read from the hyperparameters if they are there; batch sizes of your own go in as
# batch_sizes={{"wmt": 256}}. To write the functions yourself, for a step or a choice of
# data of your own, copy submissions/template instead.
get_batch_size, init_optimizer_state, update_params = optax_submission(optimizer)
'''

SPACE = """{
  "learning_rate": {"min": 1e-4, "max": 1e-2, "scaling": "log"},
  "one_minus_beta1": {"min": 0.02, "max": 0.2, "scaling": "log"},
  "beta2": {"feasible_points": [0.999]},
  "warmup_factor": {"feasible_points": [0.05]},
  "weight_decay": {"min": 0.005, "max": 1.0, "scaling": "log"},
  "label_smoothing": {"feasible_points": [0.0, 0.1]},
  "dropout_rate": {"feasible_points": [0.0, 0.1]}
}
"""

TEST = '''"""{name} trains; run with pytest."""

import json
from pathlib import Path

from algoperf.cli.main import main

SUBMISSION = Path(__file__).parent


def test_it_learns_digits(tmp_path):
    line = ["run", "--workload=digits", "--submission_path=" + str(SUBMISSION)]
    line += ["--experiment_dir=" + str(tmp_path), "--experiment_name=test"]
    line += ["--max_global_steps=100", "--eval_every_steps=50", "--rng_seed=0"]
    assert main(line) == 0
    trial = tmp_path / "test/study_0/digits_jax/trial_1/trial.json"
    record = json.loads(trial.read_text())
    assert record["error"] is None
    assert record["best"] > 0.8  # the share of digits that it tells apart
'''


def main(argv: list[str]) -> int:
    """Writes the folder; 0.

    Raises:
      UserError: no name, one that cannot be used, or a folder that is there already.
    """
    words = [word for word in argv if not word.startswith("-")]
    try:
        parse(flags.FlagValues(), USAGE, [w for w in argv if w not in words[:1]])
    except HelpShown:
        return 0
    if not words:
        raise UserError("algoperf new takes a name: algoperf new my_optimizer.")
    folder = Path(words[0])
    _check_name(folder)
    files = {
        "submission.py": SUBMISSION.format(name=folder.name),
        SEARCH_SPACE: SPACE,
        f"test_{folder.name}.py": TEST.format(name=folder.name),
    }
    try:
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot write {folder}: {reason}.") from None
    for name in files:
        print(f"written: {folder / name}")
    print(f"next: algoperf check {folder}")
    print(f"      algoperf run --workload=digits --submission_path={folder}")
    return 0


def _check_name(folder: Path) -> None:
    name = folder.name
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UserError(
            f"{name!r} is no name for a submission: letters, digits and underscores, "
            "not beginning with a digit; for example my_optimizer."
        )
    if folder.exists():
        raise UserError(f"{folder} is there already; give another name.")
    if name in bundled_submissions():
        raise UserError(
            f"{name!r} is a submission that comes with the package; give another name."
        )
