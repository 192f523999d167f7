"""The process of one trial: `python -m algoperf.cli.isolated_trial JOB`."""

import os
import pickle
import sys
from pathlib import Path

from algoperf.cli.main import guarded


def main(argv: list[str]) -> int:
    """Runs the trial of a job file; returns what `algoperf run` would."""
    (file,) = argv
    job = pickle.loads(Path(file).read_bytes())
    os.set_inheritable(job.isolated.pipe, False)
    os.chdir(job.isolated.scratch)
    os.unlink(file)
    from algoperf.cli.experiment import run_job

    return run_job(job)


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:])))
