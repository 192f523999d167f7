"""`algoperf prepare`: makes of raw files what a workload reads, or checks it."""

from pathlib import Path

from absl import flags

from algoperf.cli.definer import Definer
from algoperf.cli.flag_parsing import HelpShown, parse
from algoperf.facts import UserError

USAGE = """algoperf prepare --workload=NAME --data_dir=DIR [--raw_dir=DIR] [--flags]

Makes of the raw files in --raw_dir what the workload reads, in a folder below
--data_dir. It can be ended at any time; the same command goes on where it stopped.
Folders that AlgoPerf (TFDS) prepared are taken too: put them into --raw_dir.
--verify reads everything again; its exit code is 1 if something is damaged, and 2
if the preparation has not ended."""

EXIT_DAMAGED = 1


def main(argv: list[str]) -> int:
    """Prepares or verifies one data set; returns the exit code."""
    values = flags.FlagValues()
    _define(Definer(values))
    try:
        parse(values, USAGE, argv)
    except HelpShown:
        return 0
    for name in ("workload", "data_dir"):
        if not values[name].value:
            raise UserError(
                f"--{name} is missing; `algoperf prepare --help` says more."
            )
    data_dir = Path(values.data_dir).expanduser().absolute()
    raw_dir = data_dir / "raw"
    if values.raw_dir:
        raw_dir = Path(values.raw_dir).expanduser().absolute()
        if not raw_dir.is_dir() and not values.download:
            raise UserError(f"--raw_dir={raw_dir} is no folder.")
    # Here, and not above: `--help` must not wait for NumPy.
    from workloads.preparations import preparation_of

    preparation = preparation_of(values.workload)
    if values.verify:
        return _verify(preparation, data_dir, values.workload)
    from algoperf.prepare.run import prepare

    prepare(
        preparation,
        raw_dir,
        data_dir,
        _say,
        skip_checksums=values.skip_checksums,
        download=values.download,
    )
    return 0


def _define(flag: Definer) -> None:
    flag.text("workload", None, "Workload, or the folder's name of its data set.")
    flag.text("data_dir", None, "Folder with a folder for each data set.")
    flag.text("raw_dir", None, "Where the raw files are; default: DATA_DIR/raw.")
    flag.boolean(
        "download",
        None,
        "Download raw files that are missing and have an address; those of mnist and "
        "cifar are unless --nodownload is given.",
    )
    flag.boolean("verify", False, "Only read what was prepared, and compare it.")
    flag.boolean(
        "skip_checksums", False, "Do not compare raw files with the published sizes."
    )


def _verify(preparation, data_dir: Path, workload: str) -> int:
    from algoperf.prepare.verify import verify

    damage = verify(preparation, data_dir, _say)
    for one in damage:
        print(f"DAMAGED  {one.path}: {one.problem}")
    if damage:
        print(
            f"{len(damage)} damaged. To make only these again: algoperf prepare "
            f"--workload={workload} --data_dir={data_dir} --raw_dir=..."
        )
        return EXIT_DAMAGED
    print(f"{data_dir / preparation.folder}: nothing is damaged")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)
