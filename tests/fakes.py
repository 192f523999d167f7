"""Stand-ins that tests share."""


class FakeTime:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s

    def passes(self, seconds: float) -> None:
        self.s += seconds


class Quiet:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def stepped(self, progress, submission_s):
        pass

    def evaluated(self, progress):
        pass

    def message(self, text):
        self.messages.append(text)

    def ended(self, record):
        pass
