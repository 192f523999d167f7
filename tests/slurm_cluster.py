"""A SLURM cluster of one node, of daemons that a test starts and ends."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_DAEMONS = ("munged", "slurmctld", "slurmd")
_CONFIGURATION = """\
ClusterName=one
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/node.log
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
KillWait=30
NodeName=localhost NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Why no cluster can be started here; '' if one can."""
    missing = [
        name
        for name in _DAEMONS
        if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None
    ]
    if missing:
        return f"not installed: {', '.join(missing)} (apt-get install slurm-wlm munge)"
    return "" if os.geteuid() == 0 else "SLURM's daemons are started by root"


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Runs a cluster in a folder; gives the environment for its commands."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    configuration = folder / "slurm.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            folder=folder,
            controller_port=_free_port(),
            node_port=_free_port(),
            cpus=os.cpu_count(),
        )
    )
    environment = os.environ | {
        "SLURM_CONF": str(configuration),
        "PATH": f"{os.environ['PATH']}:/usr/sbin",
    }
    with ExitStack() as stack:
        stack.enter_context(_munge())
        # In the foreground, so that they are ours to end.
        for command in (["slurmctld", "-D"], ["slurmd", "-D", "-N", "localhost"]):
            daemon = subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(_end, daemon)
        _wait_for_node(environment)
        yield environment


@contextmanager
def _munge() -> Iterator[None]:
    """The authentication daemon; the system's, if it runs."""
    if subprocess.run(["munge", "-n"], capture_output=True).returncode == 0:
        yield
        return
    socket_folder = Path("/run/munge")
    socket_folder.mkdir(exist_ok=True)
    shutil.chown(socket_folder, "munge", "munge")
    daemon = subprocess.Popen(
        ["/usr/sbin/munged", "--foreground"],
        user="munge",
        group="munge",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        _end(daemon)


def _wait_for_node(environment: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    while True:
        shown = subprocess.run(
            ["sinfo", "-h", "-o", "%t"], env=environment, capture_output=True, text=True
        )
        if shown.stdout.strip() == "idle":
            return
        assert time.monotonic() < deadline, (shown.stdout, shown.stderr)
        time.sleep(0.2)


def _end(daemon: "subprocess.Popen[bytes]") -> None:
    daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(timeout=20)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _free_port() -> int:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return own.getsockname()[1]
