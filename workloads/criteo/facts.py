"""The facts of the click workloads: WORKLOADS facts 2 and 3.1."""

from dataclasses import replace

from algoperf.facts import DataFiles, Facts, model_variant

_FILES = DataFiles(
    "Criteo 1TB click logs, hashed, as arrays of rows",
    folder="criteo1tb",
    alternatives=(("train/day_*.npy", "validation/day_*.npy", "test/day_*.npy"),),
    how_to_get=(
        "`algoperf prepare --workload=criteo1tb --raw_dir=RAW --data_dir=DIR`, with "
        "Criteo's day_0.gz ... day_23.gz or AlgoPerf's day_0_00 ... day_23_35 in RAW"
    ),
)

CRITEO = Facts(
    name="criteo1tb",
    base="criteo1tb",
    scale="full",
    metric="loss",
    goal="min",
    validation_target=0.123735,
    test_target=0.126041,
    max_runtime_s=7_703,
    eval_period_s=120,
    step_hint=10_666,
    loss="sigmoid_cross_entropy",
    batch_size=262_144,
    eval_batch_size=131_072,
    examples={
        "train": 4_195_197_692,
        "eval_train": 83_361_792,
        "validation": 83_274_637,
        "test": 95_000_000,
    },
    data=_FILES,
)

CRITEO_MINI = replace(
    CRITEO,
    name="criteo1tb_mini",
    base="criteo1tb_mini",
    scale="mini",
    validation_target=0.4173,
    test_target=0.4243,
    max_runtime_s=600,
    eval_period_s=None,
    eval_period_steps=200,
    step_hint=5_000,
    batch_size=1_024,
    eval_batch_size=4_096,
    examples={
        "train": 1_000_000,
        "eval_train": 12_288,
        "validation": 12_288,
        "test": 12_288,
    },
    data=DataFiles("generated clicks, whose logits a factorisation gives; no download"),
    model={
        "vocab_size": 8_192,
        "embed_dim": 32,
        "bottom_dims": [128, 64, 32],
        "top_dims": [256, 256, 128, 64, 1],
    },
)

_TEST = {"vocab_size": 32 * 128 * 16}
_TEST_MINI = {"vocab_size": 1_024}
_LAYER_NORM = {"layer_norm": True}
_EMBED_INIT = {"embed_init_scale": 1.0}
_RESNET = {"architecture": "resnet"}
_RESNET_MINI = {"bottom_dims": [128, 128, 128], "top_dims": [128, 128, 128, 128, 1]}


FULL = (
    CRITEO,
    model_variant(CRITEO, "test", _TEST, 0.123735, 0.126041),
    model_variant(CRITEO, "layernorm", _LAYER_NORM, 0.123757, 0.126152),
    model_variant(CRITEO, "embed_init", _EMBED_INIT, 0.129657, 0.131967),
    model_variant(CRITEO, "resnet", _RESNET, 0.12415, 0.12648),
)
MINI = (
    CRITEO_MINI,
    model_variant(CRITEO_MINI, "test", _TEST_MINI, 0.453, 0.4537),
    model_variant(CRITEO_MINI, "layernorm", _LAYER_NORM, 0.4148, 0.423),
    model_variant(CRITEO_MINI, "embed_init", _EMBED_INIT, 0.4678, 0.4739),
    model_variant(CRITEO_MINI, "resnet", _RESNET | _RESNET_MINI, 0.4147, 0.4185),
)
