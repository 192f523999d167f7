"""Downloads raw files: with progress, retries, resumed where it broke off."""

import contextlib
import errno
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from algoperf.facts import UserError
from algoperf.prepare.meter import Meter, Say
from algoperf.prepare.plan import RawFile
from algoperf.prepare.raw import check_digest

ATTEMPTS = 5
TIMEOUT_S = 60.0
_BLOCK_BYTES = 1 << 18
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}
_NO_SUCH_RANGE = 416
_NEVER_BETTER = {400, 401, 403, 404, 410}  # asking again gives the same answer


def fetch(
    file: RawFile,
    folder: Path,
    say: Say,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Downloads `file` into `folder` and returns its path.

    The file gets its name only when it is whole and its checksum right; until then it
    is `NAME.part`, and a later call goes on from there.

    Raises:
      UserError: there is no connection, the server refuses, or the content is wrong.
    """
    part = folder / f"{file.name}.part"
    meter = Meter(say, f"downloading {file.name}", file.bytes or 0)
    problem = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            wait_s = 2.0**attempt
            say(f"{file.name}: {problem}; again in {wait_s:.0f} s")
            sleep(wait_s)
        problem, final = _attempt(file, part, meter)
        if not problem:
            return part.replace(folder / file.name)
        if final:
            break
    raise UserError(
        f"{file.name} could not be downloaded from {urlsplit(file.url).netloc}: "
        f"{problem}. Run this again to go on, or fetch {file.url} by other means into "
        f"{folder}."
    )


def _attempt(file: RawFile, part: Path, meter: Meter) -> tuple[str, bool]:
    """What went wrong ("" for nothing), and whether trying again is of no use."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        _download(file, part, meter)
        _check(file, part)
    except UserError as error:
        part.unlink()  # the content is wrong, so what is there is of no use
        return str(error), False
    except urllib.error.HTTPError as error:
        if error.code == _NO_SUCH_RANGE:
            part.unlink(missing_ok=True)
        problem = f"the server answers {error.code} {error.reason}"
        return problem, error.code in _NEVER_BETTER
    except OSError as error:
        if error.errno in _DISK_ERRORS:
            return f"{part} cannot be written: {error.strerror}", True
        return str(getattr(error, "reason", error)) or type(error).__name__, False
    except http.client.HTTPException as error:
        return f"{type(error).__name__} {error}", False
    return "", False


def _check(file: RawFile, part: Path) -> None:
    size = part.stat().st_size
    if file.bytes is not None and size != file.bytes:
        raise UserError(f"it has {size:,} bytes, and should have {file.bytes:,}")
    if file.digest:
        check_digest(file, part, Meter(lambda line: None, "", 0))


def _download(file: RawFile, part: Path, meter: Meter) -> None:
    """Appends to `part` what is missing of it."""
    have = part.stat().st_size if part.exists() else 0
    if file.bytes is not None and have >= file.bytes:
        return
    request = urllib.request.Request(file.url)
    if have:
        request.add_header("Range", f"bytes={have}-")
    with contextlib.closing(urllib.request.urlopen(request, timeout=TIMEOUT_S)) as got:
        # 206 means that the server goes on where we asked it to.
        resumed = have > 0 and got.status == 206
        length = got.headers.get("Content-Length")
        received = 0
        with open(part, "ab" if resumed else "wb") as out:
            while block := got.read(_BLOCK_BYTES):
                out.write(block)
                received += len(block)
                meter.add(len(block))
    if length is not None and received < int(length):
        raise ConnectionError(
            f"the connection broke after {received:,} of {int(length):,} bytes"
        )
