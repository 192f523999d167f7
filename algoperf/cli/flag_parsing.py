"""Command lines with absl flags, without absl's global flag registry."""

from absl import flags

from algoperf.facts import UserError


class HelpShown(Exception):
    """Raised after `--help` was printed: the command has nothing more to do."""


def parse(
    flag_values: flags.FlagValues,
    usage: str,
    argv: list[str],
    most_words: int | None = 0,
) -> list[str]:
    """Parses `argv` into `flag_values`; returns the words that are no flags.

    Args:
      most_words: how many of them there may be; None: any number.

    Raises:
      HelpShown: `--help` was among the flags; the help has been printed.
      UserError: an unknown flag, a value that does not fit, or a stray word.
    """
    if any(word.split("=")[0] in ("--help", "-h", "-help") for word in argv):
        print(usage, end="\n\n")
        print(_describe(flag_values))
        raise HelpShown
    flag_values.set_gnu_getopt()  # flags may stand after words
    try:
        words = flag_values(["algoperf", *argv])[1:]
    except flags.Error as error:
        text = str(error).replace(" ?", "?").rstrip(".")
        raise UserError(f"{text}\n--help lists the flags.") from None
    if most_words is not None and len(words) > most_words:
        stray = words[most_words]
        raise UserError(f"unexpected {stray!r}: flags are written --name=value.")
    return words


def _describe(flag_values: flags.FlagValues) -> str:
    lines = []
    for name in flag_values:
        flag = flag_values[name]
        if flag.name != name:  # an alias
            continue
        default = "" if flag.default is None else f" (default: {flag.default})"
        lines.append(f"  --{name}\n      {flag.help}{default}")
    return "\n".join(lines)
