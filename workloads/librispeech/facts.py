"""The facts of the speech workloads: WORKLOADS facts 2, 3.5, 3.6."""

from dataclasses import replace

from algoperf.facts import DataFiles, Facts, model_variant

# AlgoPerf's name; it is the model, not a list of pieces.
TOKENIZER_FILE = "spm_model.vocab"
_HOME = "1.0.0"
_FILES = DataFiles(
    "LibriSpeech with its tokenizer, as prepared here or by AlgoPerf",
    folder="librispeech",
    alternatives=(
        (
            TOKENIZER_FILE,
            f"{_HOME}/dataset_info.json",
            f"{_HOME}/librispeech-train.array_record*",
            f"{_HOME}/librispeech-validation.array_record*",
            f"{_HOME}/librispeech-test.array_record*",
        ),
        (
            TOKENIZER_FILE,
            *(
                name
                for subset in (
                    "train-clean-100",
                    "train-clean-360",
                    "train-other-500",
                    "dev-clean",
                    "dev-other",
                    "test-clean",
                )
                for name in (f"{subset}.csv", subset)
            ),
        ),
    ),
    how_to_get=(
        "`algoperf prepare --workload=librispeech_conformer --raw_dir=RAW "
        "--data_dir=DIR`, with the official archives (.tar.gz, or unpacked) in RAW or "
        "with --download; or AlgoPerf's prepared folder librispeech/ in DIR"
    ),
)

CONFORMER = Facts(
    name="librispeech_conformer",
    base="librispeech_conformer",
    scale="full",
    metric="wer",
    goal="min",
    validation_target=0.085884,
    test_target=0.052981,
    max_runtime_s=58_015,
    eval_period_s=1_440,
    step_hint=76_000,
    loss="ctc_loss",
    batch_size=256,
    eval_batch_size=256,
    examples={
        "train": 263_840,
        "eval_train": 5_376,
        "validation": 5_348,
        "test": 2_472,
    },
    data=_FILES,
)

DEEPSPEECH = replace(
    CONFORMER,
    name="librispeech_deepspeech",
    base="librispeech_deepspeech",
    validation_target=0.119936,
    test_target=0.074143,
    max_runtime_s=44_405,
    step_hint=38_400,
)

CONFORMER_MINI = replace(
    CONFORMER,
    name="librispeech_conformer_mini",
    base="librispeech_conformer_mini",
    scale="mini",
    validation_target=0.0321,
    test_target=0.0287,
    max_runtime_s=600,
    eval_period_s=None,
    eval_period_steps=200,
    step_hint=4_000,
    batch_size=16,
    eval_batch_size=100,
    examples={
        "train": 2_500,
        "eval_train": 100,
        "validation": 300,
        "test": 300,
    },
    data=DataFiles("generated speech: sentences of a small grammar, no download"),
    model={
        "vocab_size": 37,
        "encoder_dim": 32,
        "num_blocks": 2,
        "num_heads": 2,
        "freq_mask_count": 1,
        "time_mask_count": 2,
        "batch_norm_momentum": 0.99,
    },
)

DEEPSPEECH_MINI = replace(
    CONFORMER_MINI,
    name="librispeech_deepspeech_mini",
    base="librispeech_deepspeech_mini",
    validation_target=0.0197,
    test_target=0.0194,
    model={
        "vocab_size": 37,
        "encoder_dim": 32,
        "num_lstm_layers": 2,
        "num_feed_forward_layers": 1,
        "freq_mask_count": 1,
        "time_mask_count": 2,
        "batch_norm_momentum": 0.99,
    },
)

# What a variant changes of the model, for both scales.
_ATTENTION_TEMPERATURE = {"attention_temperature": 1.6}
_LAYERNORM = {"use_post_layer_norm": False}
_GELU, _TANH = {"activation": "gelu"}, {"activation": "tanh"}
_NO_RESNET = {"residual": False}
_NORMS = {"layer_norm_everywhere": True, "decoder_layer_norm": False}


FULL = (
    CONFORMER,
    model_variant(
        CONFORMER,
        "attention_temperature",
        _ATTENTION_TEMPERATURE,
        0.109977,
        0.068065,
    ),
    model_variant(CONFORMER, "layernorm", _LAYERNORM, 0.09731, 0.05996),
    model_variant(CONFORMER, "gelu", _GELU, 0.094114, 0.056629),
    DEEPSPEECH,
    model_variant(DEEPSPEECH, "tanh", _TANH, 0.150883, 0.098613),
    model_variant(DEEPSPEECH, "no_resnet", _NO_RESNET, 0.131564, 0.079297),
    model_variant(
        DEEPSPEECH,
        "norm_and_spec_aug",
        _NORMS | {"freq_mask_count": 4, "time_mask_count": 15},
        0.14342,
        0.090976,
        eval_batch_size=128,
    ),
)
MINI = (
    CONFORMER_MINI,
    model_variant(
        CONFORMER_MINI,
        "attention_temperature",
        _ATTENTION_TEMPERATURE,
        0.0325,
        0.0258,
    ),
    model_variant(CONFORMER_MINI, "layernorm", _LAYERNORM, 0.0292, 0.0294),
    model_variant(CONFORMER_MINI, "gelu", _GELU, 0.0332, 0.0272),
    DEEPSPEECH_MINI,
    model_variant(DEEPSPEECH_MINI, "tanh", _TANH, 0.0547, 0.0601),
    model_variant(DEEPSPEECH_MINI, "no_resnet", _NO_RESNET, 0.0401, 0.0415),
    # About twice as many masks as the base has, as at full scale.
    model_variant(
        DEEPSPEECH_MINI,
        "norm_and_spec_aug",
        _NORMS | {"freq_mask_count": 2, "time_mask_count": 3},
        0.0813,
        0.0759,
    ),
)
