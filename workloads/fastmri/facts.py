"""The facts of the fastMRI workloads: WORKLOADS facts 2, 3.2."""

from dataclasses import replace

from algoperf.facts import DataFiles, Facts, model_variant

_OFFICIAL = tuple(
    f"singlecoil_{folder}/*.h5|knee_singlecoil_{folder}/*.h5"
    for folder in ("train", "val")
)
_FILES = DataFiles(
    "fastMRI, single-coil knee: prepared slices, or the official HDF5 files",
    folder="fastmri",
    alternatives=(("slices/train/*.npy", "slices/val/*.npy"), _OFFICIAL),
    how_to_get=(
        "ask for knee_singlecoil_train and knee_singlecoil_val at fastmri.med.nyu.edu "
        "and unpack them there; or, to read faster, `algoperf prepare "
        "--workload=fastmri --raw_dir=RAW --data_dir=DIR` with the archives, or what "
        "they have in them, in RAW"
    ),
)

FASTMRI = Facts(
    name="fastmri",
    base="fastmri",
    scale="full",
    metric="ssim",
    goal="max",
    validation_target=0.723653,
    test_target=0.740633,
    max_runtime_s=4_430,
    eval_period_s=80,
    step_hint=18_094,
    loss="mean_absolute_error",
    batch_size=32,
    eval_batch_size=256,
    examples={
        "train": 34_742,
        "eval_train": 3_584,
        "validation": 3_554,
        "test": 3_581,
    },
    data=_FILES,
)

FASTMRI_MINI = replace(
    FASTMRI,
    name="fastmri_mini",
    base="fastmri_mini",
    scale="mini",
    validation_target=0.7657,
    test_target=0.7898,
    max_runtime_s=600,
    eval_period_s=None,
    eval_period_steps=120,
    step_hint=2_400,
    batch_size=8,
    eval_batch_size=96,
    examples={"train": 1_200, "eval_train": 96, "validation": 96, "test": 96},
    data=DataFiles("generated slices of phantoms in k-space, no download"),
    model={"num_channels": 8, "num_pool_layers": 3},
)

# What a variant changes of the model.
_MODEL_SIZE = {"num_pool_layers": 3, "num_channels": 64}
_MODEL_SIZE_MINI = {"num_pool_layers": 2, "num_channels": 12}
_TANH, _LAYERNORM = {"activation": "tanh"}, {"layer_norm": True}


FULL = (
    FASTMRI,
    model_variant(FASTMRI, "model_size", _MODEL_SIZE, 0.723559, 0.740726),
    model_variant(FASTMRI, "tanh", _TANH, 0.717840, 0.734505),
    model_variant(FASTMRI, "layernorm", _LAYERNORM, 0.723284, 0.739996),
)
MINI = (
    FASTMRI_MINI,
    model_variant(FASTMRI_MINI, "model_size", _MODEL_SIZE_MINI, 0.7835, 0.8101),
    model_variant(FASTMRI_MINI, "tanh", _TANH, 0.6497, 0.6892),
    model_variant(FASTMRI_MINI, "layernorm", _LAYERNORM, 0.7649, 0.7827),
)
