"""What an isolated trial gets: its environment, and under `strict` its files."""

import glob
import os
import site
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import algoperf
from algoperf.facts import UserError

_HARNESS = Path(algoperf.__file__).parent.resolve()

_VARIABLES = frozenset(
    (
        "COLUMNS",
        "LANG",
        "LD_LIBRARY_PATH",
        "LIBTPU_INIT_ARGS",
        "LINES",
        "LOGNAME",
        "MKL_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "PATH",
        "PYTHONPATH",
        "TERM",
        "TPU_NAME",
        "TZ",
        "USER",
        "VIRTUAL_ENV",
    )
)
_PREFIXES = (
    "CUDA_",
    "HIP_",
    "HSA_",
    "JAX_",
    "LC_",
    "NCCL_",
    "NVIDIA_",
    "ROCR_",
    "SLURM_",
    "TF_",
    "TPU_",
    "XLA_",
)
_OF_TRACKERS = ("WANDB_", "MLFLOW_")
# The way out, and who one is there.
_OF_NETWORK = frozenset(
    (
        "ALL_PROXY",
        "CURL_CA_BUNDLE",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NETRC",
        "NO_PROXY",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
    )
)
_TRACKING_URI = "MLFLOW_TRACKING_URI"
_SYSTEM = [
    "/bin",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix",
    "/opt",
    "/proc",
    "/sbin",
    "/sys",
    "/usr",
]
_DEVICES = [
    "null",
    "zero",
    "full",
    "random",
    "urandom",
    "tty",
    "nvidia*",
    "dri",
    "kfd",
    "accel*",
    "vfio",
    "infiniband",
]


def environment(
    given: Mapping[str, str], scratch: Path, trackers: bool = False
) -> dict[str, str]:
    """Of `given` what a trial needs; its home and temporary folder are below `scratch`.

    Args:
      trackers: whether Weights & Biases and MLflow are needed: their variables, those
        of the network, and a home and a working directory that outlive the trial.
    """
    prefixes = _PREFIXES + (_OF_TRACKERS if trackers else ())
    kept = {
        name: value
        for name, value in given.items()
        if name in _VARIABLES
        or name.startswith(prefixes)
        or (trackers and name.upper() in _OF_NETWORK)
    }
    if trackers:
        kept[_TRACKING_URI] = _kept_store(given.get(_TRACKING_URI) or "mlruns")
        login = Path(given.get("HOME", "/")) / ".netrc"  # of `wandb login`
        if "NETRC" not in kept and login.is_file():
            kept["NETRC"] = str(login)
    kept["HOME"], kept["TMPDIR"] = str(scratch), str(scratch / "tmp")
    # Packages below the home that is not there any more.
    kept["PYTHONUSERBASE"] = site.getuserbase()
    path = [] if "site-packages" in _HARNESS.parts else [str(_HARNESS.parent)]
    path += [p for p in given.get("PYTHONPATH", "").split(os.pathsep) if p]
    if path:
        kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, path))
    return kept


def _kept_store(uri: str) -> str:
    """MLflow's store by an absolute path, where it is given by a relative one."""
    if uri.startswith("sqlite:///"):
        return f"sqlite:///{os.path.abspath(uri.removeprefix('sqlite:///'))}"
    return uri if ":" in uri else Path(uri).absolute().as_uri()


def grants(
    read: Sequence[Path], write: Sequence[Path], sealed: Path
) -> dict[str, list[str]]:
    """The paths of `confine.py`: the system, Python, and what is named.

    Where a folder to read has the `sealed` one somewhere below, what is around that is
    named instead: names of files in there can be listed then, but not opened.
    """
    sealed = sealed.resolve()
    python = [
        Path(entry).resolve()
        for entry in (*sys.path, sys.prefix, sys.base_prefix, site.getuserbase())
        if entry and Path(entry).exists()
    ]
    ours = [_HARNESS, _HARNESS.parent / "workloads", _HARNESS.parent / ".git"]
    to_read = [*(path.resolve() for path in read), *python, *ours]
    around = [path for given in to_read for path in _around(given, sealed)]
    devices = [path for name in _DEVICES for path in glob.glob(f"/dev/{name}")]
    return {
        "read": [*_SYSTEM, *map(str, dict.fromkeys(around))],
        "list": [str(path) for path in to_read if sealed.is_relative_to(path)],
        "write": [*(str(path.resolve()) for path in write), *devices],
    }


def check_apart(folder: Path, sealed: Path) -> None:
    """Refuses a submission that cannot be told apart from the experiments.

    Raises:
      UserError: its folder is the one of all experiments.
    """
    if folder.resolve() == sealed.resolve():
        raise UserError(
            f"--isolate=strict: {folder} is the submission's folder and the one of all "
            "experiments, which it may not read. Give another --experiment_dir."
        )


def _around(path: Path, sealed: Path) -> Iterator[Path]:
    if not sealed.is_relative_to(path):
        yield path
    elif path != sealed:
        for child in sorted(path.iterdir()):
            if not child.resolve().is_relative_to(sealed):
                yield from _around(child, sealed)
