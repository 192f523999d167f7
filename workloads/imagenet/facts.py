"""The facts of the ImageNet workloads: WORKLOADS facts 2, 3.3, 3.4."""

from dataclasses import replace

from algoperf.facts import DataFiles, Facts, variant

_V5 = "imagenet2012/5.1.0"
_V2 = "imagenet_v2/matched-frequency/3.0.0"
_FILES = DataFiles(
    "ImageNet 2012 and ImageNet-V2 as TFDS ArrayRecord",
    folder="imagenet",
    alternatives=(
        (
            f"{_V5}/dataset_info.json",
            f"{_V5}/imagenet2012-train.array_record*",
            f"{_V5}/imagenet2012-validation.array_record*",
            f"{_V2}/dataset_info.json",
            f"{_V2}/imagenet_v2-test.array_record*",
        ),
    ),
    how_to_get=(
        "`algoperf prepare --workload=imagenet_resnet --raw_dir=RAW --data_dir=DIR`, "
        "with the official tar files or what AlgoPerf prepared in RAW"
    ),
)

RESNET = Facts(
    name="imagenet_resnet",
    base="imagenet_resnet",
    scale="full",
    metric="accuracy",
    goal="max",
    validation_target=0.77431,
    test_target=0.6560,
    max_runtime_s=66_159,
    eval_period_s=510,
    step_hint=195_999,
    loss="softmax_cross_entropy",
    batch_size=1_024,
    eval_batch_size=1_024,
    examples={
        "train": 1_281_167,
        "eval_train": 50_176,
        "validation": 50_000,
        "test": 10_000,
    },
    data=_FILES,
)

VIT = replace(
    RESNET,
    name="imagenet_vit",
    base="imagenet_vit",
    validation_target=0.77309,
    test_target=0.6519,
    max_runtime_s=69_768,
    eval_period_s=420,
    step_hint=167_999,
    eval_batch_size=2_048,
    examples=dict(RESNET.examples) | {"eval_train": 51_200},
)

_RESNET_VARIANTS = (
    variant(
        RESNET,
        "silu",
        model={"activation": "silu"},
        validation_target=0.75445,
        test_target=0.6323,
        batch_size=512,
    ),
    variant(
        RESNET,
        "gelu",
        model={"activation": "gelu"},
        validation_target=0.76765,
        test_target=0.6519,
        batch_size=512,
    ),
    variant(
        RESNET,
        "large_bn_init",
        model={"last_bn_scale": 8.0},
        validation_target=0.76526,
        test_target=0.6423,
    ),
)

_VIT_VARIANTS = (
    variant(
        VIT,
        "glu",
        model={"glu": True},
        validation_target=0.75738,
        test_target=0.6359,
    ),
    variant(
        VIT,
        "post_ln",
        model={"post_ln": True},
        validation_target=0.75312,
        test_target=0.6286,
    ),
    variant(
        VIT,
        "map",
        model={"map_head": True},
        validation_target=0.77113,
        test_target=0.6523,
    ),
)

FULL = (RESNET, *_RESNET_VARIANTS, VIT, *_VIT_VARIANTS)

_MINI_FILES = DataFiles("generated images of 20 kinds of objects, no download")
_MINI_EXAMPLES = {
    "train": 8_000,
    "eval_train": 1_000,
    "validation": 1_000,
    "test": 1_000,
}

RESNET_MINI = replace(
    RESNET,
    name="imagenet_resnet_mini",
    base="imagenet_resnet_mini",
    scale="mini",
    validation_target=0.9,
    test_target=0.9,
    max_runtime_s=300,
    eval_period_s=None,
    eval_period_steps=100,
    step_hint=3_000,
    batch_size=64,
    eval_batch_size=500,
    examples=_MINI_EXAMPLES,
    data=_MINI_FILES,
    model={
        "stage_sizes": [1, 1, 1],
        "num_filters": 16,
        "num_classes": 20,
        "stem": "cifar",
    },
)

VIT_MINI = replace(
    RESNET_MINI,
    name="imagenet_vit_mini",
    base="imagenet_vit_mini",
    model={
        "width": 64,
        "depth": 4,
        "mlp_dim": 128,
        "num_heads": 4,
        "patch_size": 4,
        "num_classes": 20,
    },
)

MINI = (RESNET_MINI, VIT_MINI)
