"""The facts of the language model workloads: WORKLOADS facts 2, 3.9."""

from dataclasses import replace

from algoperf.facts import DataFiles, Facts

FOLDER = "fineweb_edu_10B"
CONTEXT_LENGTH = 1_024  # tokens of a sequence
# Another shuffle of the documents, or another version of the text, moves a few
# sequences from one split to the other.
LEAST_SHARE_OF_TRAIN = 0.99
_FILES = DataFiles(
    "FineWeb-Edu (sample-10BT) as GPT-2 tokens",
    folder=FOLDER,
    alternatives=(
        ("index.json", "tokens/*.bin", "train_documents.npy", "val_documents.npy"),
        ("train.bin", "val.bin"),
        ("train/state.json", "train/*.arrow", "val/state.json", "val/*.arrow"),
    ),
    how_to_get=(
        "`algoperf prepare --workload=finewebedu_lm --raw_dir=RAW --data_dir=DIR`, "
        "with the parquet or JSON Lines files and GPT-2's vocab.bpe and encoder.json "
        "in RAW; or train.bin and val.bin of little-endian uint16 or uint32 tokens; or "
        "the folders train and val that AlgoPerf saved with Hugging Face datasets"
    ),
)

# The budget and the period were set on 4 A100: there are no others for this workload.
FINEWEBEDU_LM = Facts(
    name="finewebedu_lm",
    base="finewebedu_lm",
    scale="full",
    metric="ppl",
    goal="min",
    validation_target=22.2995,
    test_target=None,
    max_runtime_s=31_967,
    eval_period_s=2_571,
    step_hint=72_000,
    loss="softmax_cross_entropy",
    batch_size=64,
    eval_batch_size=256,
    examples={
        "train": 8_749_870,
        "eval_train": 10_000,
        "validation": 100_000,
        "test": 0,
    },
    data=_FILES,
    model={"compute_dtype": "bfloat16"},
)

FINEWEBEDU_LM_MINI = replace(
    FINEWEBEDU_LM,
    name="finewebedu_lm_mini",
    base="finewebedu_lm_mini",
    scale="mini",
    validation_target=26.407,
    max_runtime_s=600,
    eval_period_s=None,
    eval_period_steps=100,
    step_hint=2_000,
    batch_size=16,
    eval_batch_size=64,
    examples={"train": 18_802, "eval_train": 64, "validation": 256, "test": 0},
    data=DataFiles("addresses of US presidents, 1790 to 1880, bundled"),
    model={
        "vocab_size": 1_024,
        "width": 96,
        "depth": 2,
        "num_heads": 2,
        "mlp_dim": 256,
        "context_length": 64,
        "compute_dtype": "float32",
    },
)

FULL = (FINEWEBEDU_LM,)
MINI = (FINEWEBEDU_LM_MINI,)
