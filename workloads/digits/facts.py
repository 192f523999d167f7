"""The facts of the tutorial workload."""

from algoperf.facts import DataFiles, Facts

DIGITS = Facts(
    name="digits",
    base="digits",
    scale="mini",
    metric="accuracy",
    goal="max",
    validation_target=0.975,
    test_target=0.95,
    max_runtime_s=60,
    eval_period_steps=50,
    step_hint=1_500,
    loss="softmax_cross_entropy",
    batch_size=64,
    eval_batch_size=512,
    examples={"train": 1_197, "eval_train": 300, "validation": 300, "test": 300},
    data=DataFiles("1,797 real 8x8 images, bundled"),
)
