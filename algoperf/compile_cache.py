"""JAX's persistent compilation cache, shared by trials that run at the same time.

JAX writes an entry in place, so that a process that is killed leaves a part of one, and
another may read it meanwhile. Here every process has a folder of its own, with links to
the entries there are; what it adds is moved to the shared folder in one piece at the
end. So no locks are needed, also on network file systems.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

_EVENTS = "/jax/compilation_cache/"
# Programs that compile faster are not kept: reading them takes as long.
_MIN_COMPILE_S = 0.5


@dataclass
class CacheUse:
    """What a cache did while it was in use; `saved_s` by JAX's own count.

    JAX keeps the seconds that a program took to compile in whole seconds, rounded
    down; what a hit took to read is subtracted. `problem` is why new programs were not
    kept: a folder that is full or may only be read is used as far as it goes.
    """

    folder: str | None
    hits: int = 0
    misses: int = 0
    saved_s: float = 0.0
    problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@contextmanager
def compile_cache(folder: Path | None) -> Iterator[CacheUse]:
    """Keeps compiled programs in `folder`, and counts what a cache did meanwhile.

    Without a folder JAX goes on as it is configured, which may be with a cache
    (JAX_COMPILATION_CACHE_DIR); its use is counted too.
    """
    if folder is None:
        use = CacheUse(getattr(jax.config, "jax_compilation_cache_dir", None))
        with _counting(use):
            yield use
        return
    use = CacheUse(str(folder))
    with tempfile.TemporaryDirectory(prefix="algoperf_compiled_") as own:
        with _problems_kept(use):
            folder.mkdir(parents=True, exist_ok=True)
            _link_entries(folder, Path(own))
        with _configured(own), _counting(use):
            try:
                yield use
            finally:
                with _problems_kept(use):
                    _publish_entries(Path(own), folder)


@contextmanager
def _problems_kept(use: CacheUse) -> Iterator[None]:
    """A cache saves time; for the want of it no trial fails."""
    try:
        yield
    except OSError as error:
        use.problem = use.problem or str(error)
        print(f"algoperf: the compilation cache {use.folder}: {error}", file=sys.stderr)


def _link_entries(shared: Path, own: Path) -> None:
    for entry in shared.iterdir():
        if not entry.name.startswith("."):
            (own / entry.name).symlink_to(entry.absolute())


def _publish_entries(own: Path, shared: Path) -> None:
    """Moves what is new; a reader finds an entry whole or not at all."""
    for entry in own.iterdir():
        if entry.is_symlink() or not entry.is_file():
            continue
        descriptor, new = tempfile.mkstemp(dir=shared, prefix=".new_")
        try:
            with open(descriptor, "wb") as file, open(entry, "rb") as made:
                shutil.copyfileobj(made, file)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(new, 0o644)  # temporary files are private by default
            os.replace(new, shared / entry.name)
        except BaseException:
            os.unlink(new)
            raise


@contextmanager
def _configured(folder: str) -> Iterator[None]:
    wanted = {
        "jax_compilation_cache_dir": folder,
        "jax_persistent_cache_min_compile_time_secs": _MIN_COMPILE_S,
        "jax_persistent_cache_min_entry_size_bytes": 0,
        # Caches of XLA's own, in folders below, which would not be shared.
        "jax_persistent_cache_enable_xla_caches": "none",
    }
    before = {name: getattr(jax.config, name) for name in wanted}
    _configure(wanted)
    try:
        yield
    finally:
        _configure(before)


def _configure(values: dict[str, Any]) -> None:
    for name, value in values.items():
        jax.config.update(name, value)
    # JAX looks at its configuration when it first compiles, and never again.
    compilation_cache.reset_cache()


@contextmanager
def _counting(use: CacheUse) -> Iterator[None]:
    def on_event(event: str, **kwargs: Any) -> None:
        del kwargs
        use.hits += event == _EVENTS + "cache_hits"
        use.misses += event == _EVENTS + "cache_misses"

    def on_seconds(event: str, duration_secs: float, **kwargs: Any) -> None:
        del kwargs
        if event == _EVENTS + "compile_time_saved_sec":
            use.saved_s += max(duration_secs, 0.0)

    jax.monitoring.register_event_listener(on_event)
    jax.monitoring.register_event_duration_secs_listener(on_seconds)
    try:
        yield
    finally:
        jax.monitoring.unregister_event_listener(on_event)
        jax.monitoring.unregister_event_duration_listener(on_seconds)
