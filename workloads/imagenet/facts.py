"""The facts of the ImageNet workloads: WORKLOADS facts 2, 3.3, 3.4."""

from dataclasses import replace

from algoperf.facts import DataFiles, Facts, model_variant

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
    validation_target=0.83,
    test_target=0.82,
    max_runtime_s=600,
    eval_period_s=None,
    eval_period_steps=250,
    step_hint=5_000,
    batch_size=64,
    eval_batch_size=500,
    examples=_MINI_EXAMPLES,
    data=_MINI_FILES,
    model={
        "stage_sizes": [1, 1, 1],
        "num_filters": 16,
        "num_classes": 20,
    },
)

VIT_MINI = replace(
    RESNET_MINI,
    name="imagenet_vit_mini",
    base="imagenet_vit_mini",
    validation_target=0.55,
    test_target=0.538,
    eval_period_steps=100,
    step_hint=2_000,
    model={
        "width": 64,
        "depth": 2,
        "mlp_dim": 128,
        "num_heads": 2,
        "patch_size": 4,
        "num_classes": 20,
    },
)

# What a variant changes of the model, for both scales.
_SILU, _GELU = {"activation": "silu"}, {"activation": "gelu"}
_LARGE_BN_INIT = {"last_bn_scale": 8.0}
_GLU, _POST_LN, _MAP = {"glu": True}, {"post_ln": True}, {"map_head": True}


FULL = (
    RESNET,
    model_variant(RESNET, "silu", _SILU, 0.75445, 0.6323, batch_size=512),
    model_variant(RESNET, "gelu", _GELU, 0.76765, 0.6519, batch_size=512),
    model_variant(RESNET, "large_bn_init", _LARGE_BN_INIT, 0.76526, 0.6423),
    VIT,
    model_variant(VIT, "glu", _GLU, 0.75738, 0.6359),
    model_variant(VIT, "post_ln", _POST_LN, 0.75312, 0.6286),
    model_variant(VIT, "map", _MAP, 0.77113, 0.6523),
)
MINI = (
    RESNET_MINI,
    model_variant(RESNET_MINI, "silu", _SILU, 0.8035, 0.842),
    model_variant(RESNET_MINI, "gelu", _GELU, 0.817, 0.85),
    model_variant(RESNET_MINI, "large_bn_init", _LARGE_BN_INIT, 0.8515, 0.888),
    VIT_MINI,
    model_variant(VIT_MINI, "glu", _GLU, 0.5855, 0.598),
    model_variant(VIT_MINI, "post_ln", _POST_LN, 0.584, 0.584),
    model_variant(VIT_MINI, "map", _MAP, 0.601, 0.595),
)
