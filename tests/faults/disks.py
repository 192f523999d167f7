"""Small disks of their own, where the system lets us have them."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size_mb: int) -> Iterator[Path]:
    """A disk of so many megabytes, in memory; skips where nothing may be mounted."""
    folder.mkdir()
    options = f"size={size_mb}m"
    made = mount("-t", "tmpfs", "-o", options, "tmpfs", str(folder))
    if made.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def read_only(folder: Path, on: bool) -> None:
    """Makes a small disk read-only, also for root, or writable again."""
    done = mount("-o", f"remount,{'ro' if on else 'rw'}", str(folder))
    assert done.returncode == 0, done.stderr


def mount(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["mount", *words], capture_output=True, text=True)
    except FileNotFoundError as error:
        pytest.skip(f"cannot mount a tmpfs here: {error}")
