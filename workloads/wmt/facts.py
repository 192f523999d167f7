"""The facts of the wmt workloads: WORKLOADS facts 2, 3.8."""

from dataclasses import replace

from algoperf.facts import DataFiles, Facts, model_variant

_FILES = DataFiles(
    "WMT17 German to English (train) and WMT14 (validation, test) as files of tokens",
    folder="wmt",
    alternatives=(
        (
            "wmt_sentencepiece_model",
            "tokens/train-*.pairs",
            "tokens/validation-*.pairs",
            "tokens/test-*.pairs",
        ),
    ),
    how_to_get=(
        "`algoperf prepare --workload=wmt --raw_dir=RAW --data_dir=DIR`, with what "
        "AlgoPerf or TFDS prepared in RAW (wmt17_translate, wmt14_translate), or text "
        "files of a sentence a line (train.de, train.en, validation.de, ...)"
    ),
)

WMT = Facts(
    name="wmt",
    base="wmt",
    scale="full",
    metric="bleu",
    goal="max",
    validation_target=30.8491,
    test_target=30.7219,
    max_runtime_s=43_336,
    eval_period_s=840,
    step_hint=120_000,
    loss="softmax_cross_entropy",
    batch_size=128,
    eval_batch_size=128,
    examples={
        "train": 5_906_184,
        "eval_train": 3_072,
        "validation": 3_000,
        "test": 3_003,
    },
    data=_FILES,
)

WMT_MINI = replace(
    WMT,
    name="wmt_mini",
    base="wmt_mini",
    scale="mini",
    validation_target=71.957,
    test_target=73.042,
    max_runtime_s=600,
    eval_period_s=None,
    eval_period_steps=150,
    step_hint=2_400,
    batch_size=32,
    eval_batch_size=150,
    examples={
        "train": 20_000,
        "eval_train": 150,
        "validation": 150,
        "test": 150,
    },
    data=DataFiles("generated sentences with their translations, no download"),
    model={
        "vocab_size": 512,
        "width": 64,
        "depth": 2,
        "num_heads": 4,
        "mlp_dim": 128,
        "shift_across_sentences": False,
    },
)

# What a variant changes of the model, for both scales.
_POST_LN, _TEMP = {"post_ln": True}, {"attention_temp": 4.0}
_GLU_TANH = {"glu": True, "activation": "tanh"}


FULL = (
    WMT,
    model_variant(WMT, "post_ln", _POST_LN, 30.0779, 29.8982),
    model_variant(WMT, "attention_temp", _TEMP, 29.3379, 29.4143),
    model_variant(WMT, "glu_tanh", _GLU_TANH, 29.5779, 29.0515),
)
MINI = (
    WMT_MINI,
    model_variant(WMT_MINI, "post_ln", _POST_LN, 77.916, 79.605),
    model_variant(WMT_MINI, "attention_temp", _TEMP, 59.833, 60.588),
    model_variant(WMT_MINI, "glu_tanh", _GLU_TANH, 81.701, 83.612),
)
