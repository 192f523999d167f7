"""Defines flags without absl's global registry."""

from absl import flags


class Definer:
    """Defines flags in one registry; a line a flag."""

    def __init__(self, values: flags.FlagValues):
        self._values = values

    def text(self, name: str, default: str | None, help_text: str) -> None:
        flags.DEFINE_string(name, default, help_text, flag_values=self._values)

    def boolean(self, name: str, default: bool | None, help_text: str) -> None:
        flags.DEFINE_boolean(name, default, help_text, flag_values=self._values)

    def integer(
        self, name: str, default: int | None, lower: int, help_text: str
    ) -> None:
        flags.DEFINE_integer(
            name, default, help_text, lower_bound=lower, flag_values=self._values
        )

    def number(
        self, name: str, lower: float, help_text: str, default: float | None = None
    ) -> None:
        flags.DEFINE_float(
            name, default, help_text, lower_bound=lower, flag_values=self._values
        )

    def choice(
        self, name: str, default: str | None, allowed: list[str], help_text: str
    ) -> None:
        flags.DEFINE_enum(name, default, allowed, help_text, flag_values=self._values)
