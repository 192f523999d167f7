"""The facts of the CIFAR-10 workload: WORKLOADS facts 2, 3.11."""

from dataclasses import replace

from algoperf.facts import DataFiles, Facts

_FILES = DataFiles(
    "CIFAR-10: TFDS ArrayRecord, or the six binary files",
    folder="cifar10",
    alternatives=(
        (
            "3.0.2/dataset_info.json",
            "3.0.2/cifar10-train.array_record*",
            "3.0.2/cifar10-test.array_record*",
        ),
        (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"),
    ),
    how_to_get=(
        "`algoperf prepare --workload=cifar --data_dir=DIR`, with "
        "cifar-10-binary.tar.gz in --raw_dir=RAW, or it is downloaded"
    ),
)

CIFAR = Facts(
    name="cifar",
    base="cifar",
    scale="full",
    metric="accuracy",
    goal="max",
    validation_target=0.85,
    test_target=0.85,
    max_runtime_s=3_600,
    eval_period_s=600,
    step_hint=4_883,
    loss="softmax_cross_entropy",
    batch_size=128,
    eval_batch_size=1_024,
    examples={
        "train": 45_000,
        "eval_train": 5_120,
        "validation": 5_000,
        "test": 10_000,
    },
    data=_FILES,
)

CIFAR_MINI = replace(
    CIFAR,
    name="cifar_mini",
    base="cifar_mini",
    scale="mini",
    validation_target=0.756,
    test_target=0.751,
    max_runtime_s=600,
    eval_period_s=None,
    eval_period_steps=100,
    step_hint=2_000,
    batch_size=64,
    eval_batch_size=500,
    examples={
        "train": 5_000,
        "eval_train": 1_000,
        "validation": 1_000,
        "test": 1_000,
    },
    data=DataFiles("generated images of 10 kinds of objects, no download"),
    model={"stage_sizes": [1, 1, 1], "num_filters": 8},
)

FULL = (CIFAR,)
MINI = (CIFAR_MINI,)
