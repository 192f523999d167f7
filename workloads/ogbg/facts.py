"""The facts of the ogbg workloads: WORKLOADS facts 2, 3.7."""

from dataclasses import replace

from algoperf.facts import DataFiles, Facts, model_variant

BASE = Facts(
    name="ogbg",
    base="ogbg",
    scale="full",
    metric="mean_average_precision",
    goal="max",
    validation_target=0.28098,
    test_target=0.268729,
    max_runtime_s=12_011,
    eval_period_s=240,
    step_hint=52_000,
    loss="sigmoid_cross_entropy",
    batch_size=512,
    eval_batch_size=32_768,
    examples={
        "train": 350_343,
        "eval_train": 43_793,
        "validation": 43_793,
        "test": 43_793,
    },
    data=DataFiles(
        "ogbg-molpcba, prepared: a file per split",
        folder="ogbg",
        alternatives=(
            ("molpcba-train.npz", "molpcba-validation.npz", "molpcba-test.npz"),
        ),
        how_to_get=(
            "`algoperf prepare --workload=ogbg --data_dir=DIR --download`, or with "
            "--raw_dir=RAW and in RAW OGB's pcba.zip, what is in it, or "
            "ogbg_molpcba/0.1.3 as AlgoPerf or TFDS prepared it"
        ),
    ),
)

BASE_MINI = replace(
    BASE,
    name="ogbg_mini",
    base="ogbg_mini",
    scale="mini",
    validation_target=0.84,
    test_target=0.878,
    max_runtime_s=600,
    eval_period_s=None,
    eval_period_steps=300,
    step_hint=6_000,
    batch_size=64,
    eval_batch_size=1_120,
    examples={
        "train": 8_000,
        "eval_train": 1_000,
        "validation": 1_000,
        "test": 1_000,
    },
    data=DataFiles("generated molecules with 12 binary labels, no download"),
    model={
        "hidden_dims": [64],
        "latent_dim": 64,
        "num_message_passing_steps": 3,
        "num_outputs": 12,
    },
)

_GELU, _SILU = {"activation": "gelu"}, {"activation": "silu"}
_MODEL_SIZE = {
    "hidden_dims": [256, 256],
    "latent_dim": 128,
    "num_message_passing_steps": 3,
}
_MODEL_SIZE_MINI = {
    "hidden_dims": [64, 64],
    "latent_dim": 32,
    "num_message_passing_steps": 2,
}


FULL = (
    BASE,
    model_variant(BASE, "gelu", _GELU, 0.27771, 0.262926),
    model_variant(BASE, "silu", _SILU, 0.282178, 0.272144),
    model_variant(BASE, "model_size", _MODEL_SIZE, 0.269446, 0.253051),
)
MINI = (
    BASE_MINI,
    model_variant(BASE_MINI, "gelu", _GELU, 0.8749, 0.9223),
    model_variant(BASE_MINI, "silu", _SILU, 0.8719, 0.9155),
    model_variant(BASE_MINI, "model_size", _MODEL_SIZE_MINI, 0.738, 0.7805),
)
