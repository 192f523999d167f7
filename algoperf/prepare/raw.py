"""Finds and checks the raw files that a preparation starts from."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from algoperf.facts import UserError
from algoperf.prepare.manifest import Manifest
from algoperf.prepare.meter import Meter, Say, size
from algoperf.prepare.plan import Part, Places, Raw, RawFile, Source

_BLOCK_BYTES = 1 << 22


def choose(part: Part, begun: str | None, places: Places, download: bool) -> Source:
    """The source of a part whose raw files are all there, or can be downloaded.

    `begun` names the source that an earlier run began with: files of two sources must
    not mix. One that is there goes before one to download.

    Raises:
      UserError: no source is complete; the message lists what each would need.
    """
    sources = [source for source in part.sources if begun in (None, source.name)]
    absent = [absent_files(source, places) for source in sources]
    for source, files in zip(sources, absent, strict=True):
        if not files:
            return source
    for source, files in zip(sources, absent, strict=True):
        if download and all(file.url for file in files):
            return source
    raise UserError(_what_is_missing(part, begun, sources, places))


def absent_files(source: Source, places: Places) -> list[RawFile]:
    """The raw files of a source that are nowhere."""
    return [file for file in source.files if places.find(file) is None]


def located(source: Source, places: Places) -> Raw:
    """Where the raw files of a source are: all of them have to be there."""
    found = {file.name: places.find(file) for file in source.files}
    return {name: path for name, path in found.items() if path is not None}


def check_sizes(source: Source, raw: Raw) -> None:
    """Refuses files of another size than the published one.

    Raises:
      UserError: a file is incomplete, or another one.
    """
    for file in source.files:
        found = raw[file.name].stat().st_size
        if file.bytes is not None and found != file.bytes:
            problem = "incomplete" if found < file.bytes else "another file"
            raise UserError(
                f"{raw[file.name]} is {problem}: it has {found:,} bytes, and "
                f"the official file has {file.bytes:,}. Fetch it again"
                f"{_from_where(file)}; --skip_checksums takes it as it is."
            )


def unchecked(source: Source, raw: Raw, manifest: Manifest) -> list[RawFile]:
    """The files with a published checksum that was not compared yet."""
    return [
        file
        for file in source.files
        if file.digest and not manifest.has_checked(raw[file.name], file.digest)
    ]


def check_digest(file: RawFile, path: Path, meter: Meter) -> None:
    """Compares a file with its published checksum.

    Raises:
      UserError: they differ.
    """
    kind, _, wanted = file.digest.partition(":")
    found = digest(path, kind, meter)
    if found != wanted:
        raise UserError(
            f"{path} is damaged, or another file: its {kind} is {found}, and the "
            f"official one is {wanted}. Fetch it again{_from_where(file)}; "
            "--skip_checksums takes it as it is."
        )


def digest(path: Path, kind: str = "sha256", meter: Meter | None = None) -> str:
    """The checksum of a file, in hexadecimal digits."""
    summed = hashlib.new(kind)
    with open(path, "rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            summed.update(block)
            if meter is not None:
                meter.add(len(block))
    return summed.hexdigest()


def tell(source: Source, raw: Raw, say: Say) -> None:
    """Says which raw files were found."""
    for file in source.files:
        path = raw[file.name]
        # To add up what is in a folder takes minutes where there are many files.
        about = "a folder" if path.is_dir() else size(path.stat().st_size)
        say(f"    {file.name}  {about}  {path}")


def tell_downloads(files: Iterable[RawFile], say: Say) -> None:
    """Says which raw files are going to be downloaded."""
    for file in files:
        about = size(file.bytes) if file.bytes else "of unknown size"
        say(f"    {file.name}  {about}  {file.url}")


def _what_is_missing(
    part: Part, begun: str | None, sources: Sequence[Source], places: Places
) -> str:
    lines = [
        f"the files to make {part.name} from are not in {places.raw_dir} or "
        f"{places.folder}. Needed:"
    ]
    for number, source in enumerate(sources):
        lines.append(f"  {'or ' if number else ''}{source.name}:")
        for file in source.files:
            found = places.find(file)
            names = " or ".join((file.name, *file.also_named))
            lines.append(f"    {names}  {_state(file, found)}")
    if begun is not None:
        lines.append(
            f"(An earlier run began with {begun}; to begin anew with other files, "
            "delete prepare.json in the folder of the data set.)"
        )
    if any(file.url for source in sources for file in source.files):
        lines.append("--download fetches the files that have an address.")
    lines.append("--raw_dir says where the files are.")
    return "\n".join(lines)


def _state(file: RawFile, found: Path | None) -> str:
    if found is not None:
        return f"found: {found}"
    about = f" ({size(file.bytes)})" if file.bytes else ""
    return f"MISSING{about}{_from_where(file)}"


def _from_where(file: RawFile) -> str:
    return (
        f", from {file.url or file.how_to_get}" if file.url or file.how_to_get else ""
    )
