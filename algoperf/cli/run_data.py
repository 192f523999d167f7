"""What `algoperf run` reads: its flags, whether it is there, and how it is read."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from algoperf.cli.definer import Definer
from algoperf.data_options import DataOptions
from algoperf.facts import Facts, UserError
from algoperf.host_memory import host_bytes
from workloads.catalog import CATALOG
from workloads.files import require
from workloads.librispeech.facts import TOKENIZER_FILE

TEST_FOLDER = "imagenet_v2"
GB = 10**9


def define(flag: Definer) -> None:
    """Defines the flags."""
    flag.text("data_dir", None, "Folder with a folder for each data set.")
    flag.choice(
        "data",
        "real",
        ["real", "random"],
        "random: batches of the right shapes instead of data, for dry runs and "
        "throughput of full workloads.",
    )
    flag.integer(
        "eval_cache_gb",
        None,
        0,
        "Memory for decoded evaluation splits; those that do not fit are read again. "
        "Without it: 18, or half of the machine's where that is less.",
    )
    flag.boolean(
        "strict_data", False, "Stop at a damaged example instead of replacing it."
    )
    flag.text(
        "imagenet_v2_data_dir",
        None,
        "Folder with ImageNet's test set: imagenet in data_dir.",
    )
    flag.text(
        "librispeech_tokenizer_vocab_path",
        None,
        "Tokenizer of the speech workloads: librispeech/spm_model.vocab in data_dir.",
    )


def data_options(values: flags.FlagValues) -> DataOptions:
    """How data is read."""
    cache_bytes = min(DataOptions().eval_cache_bytes, host_bytes() // 2)
    if values.eval_cache_gb is not None:
        cache_bytes = values.eval_cache_gb * GB
    return DataOptions(
        eval_cache_bytes=cache_bytes,
        strict=values.strict_data,
        random=values.data == "random",
    )


def require_data(
    values: flags.FlagValues, workloads: Sequence[Facts], data_dir: Path | None
) -> None:
    """Refuses to begin without the data of every workload.

    Raises:
      UserError: files are missing, or a flag names others than those that are read.
    """
    for facts in workloads:
        folder = require(facts, data_dir, values.data == "random")
        if folder is not None:
            _check_tokenizer(values.librispeech_tokenizer_vocab_path, facts, folder)
            _check_test_set(values.imagenet_v2_data_dir, facts, folder)


def _check_tokenizer(given: str | None, facts: Facts, folder: Path) -> None:
    """Refuses another tokenizer than the one that comes with the data."""
    needed = {name for names in facts.data.alternatives for name in names}
    if given is None or TOKENIZER_FILE not in needed:
        return
    used = folder / TOKENIZER_FILE
    if Path(given).expanduser().resolve() != used.resolve():
        raise UserError(
            f"--librispeech_tokenizer_vocab_path={given} is not the tokenizer that "
            f"{facts.name} reads, which is {used}: its data goes with that one. Put "
            "yours there and prepare the data set with it, or leave the flag out."
        )


def _check_test_set(given: str | None, facts: Facts, folder: Path) -> None:
    """Refuses another ImageNet-V2 than the one that is read.

    AlgoPerf takes the folder that has `imagenet_v2` in it; the one above that, which
    is --data_dir, and those below are as clear.
    """
    if given is None or facts.data.folder != CATALOG["imagenet_resnet"].data.folder:
        return
    path, used = Path(given).expanduser().resolve(), folder.resolve()
    if path != used.parent and not path.is_relative_to(used):
        raise UserError(
            f"--imagenet_v2_data_dir={given} is not where {facts.name} reads its test "
            f"set, which is {folder / TEST_FOLDER}. Put it there (a link will do), or "
            "leave the flag out."
        )
