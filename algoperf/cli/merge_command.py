"""`algoperf merge`: joins the experiment folders of several machines."""

from pathlib import Path

from absl import flags

from algoperf.cli.definer import Definer
from algoperf.cli.flag_parsing import HelpShown, parse
from algoperf.facts import UserError
from algoperf.sweep.merge import carry_out, plan_merge

USAGE = """algoperf merge A B ... [--into=C]

Copies the trials of the experiment folders A, B, ... into C, which may have some
already; without --into, those of B, ... into A. Nothing is overwritten: two folders
with other contents of the same trial, or with other seeds of the same study, are
refused before anything is copied."""


def main(argv: list[str]) -> int:
    """Joins folders; returns the exit code."""
    values = flags.FlagValues()
    Definer(values).text(
        "into", None, "The folder to copy to; may be there already. Default: the first."
    )
    try:
        words = parse(values, USAGE, argv, most_words=None)
    except HelpShown:
        return 0
    if len(words) + bool(values.into) < 2:
        raise UserError(
            "`algoperf merge` needs folders and where they go: `algoperf merge A B "
            "--into=C`, or `algoperf merge A B`, which goes into A."
        )
    sources = [Path(word).expanduser().absolute() for word in words]
    for source in sources:
        if not source.is_dir():
            raise UserError(f"there is no folder {source}.")
    into = Path(values.into or words[0]).expanduser().absolute()
    merge = plan_merge([s for s in sources if s.resolve() != into.resolve()], into)
    carry_out(merge, into)
    print(
        f"{len(merge.copies)} trials copied to {into} and compared, {merge.already} "
        "were there"
    )
    return 0
