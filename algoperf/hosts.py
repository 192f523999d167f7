"""Several processes that train one trial together, usually one on every host.

Every process runs the same program on all the devices. What differs between them (the
clock, the files, a signal) is decided by the first process and agreed with the others:
it says what it found in JAX's key-value store, which works without the devices, so that
steps stay asynchronous.
"""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax

from algoperf.cluster import Alone, Cluster, Hosts, ToldError
from algoperf.facts import UserError

# How long a process waits for the first one: an evaluation may lie between.
PATIENCE_S = 24 * 3600
# Seconds between two looks of the first process for signals that others got.
STOP_POLL_S = 1.0
# Messages that are still there when the first process is ahead of the others.
_KEPT = 1_000


class Together:
    """A run of several processes, connected by `connect`."""

    def __init__(self, client: Any, index: int):
        self.first = index == 0
        self.stop_signal: int | None = None
        self._client = client
        self._index = index
        self._agreed = 0
        self._asked: int | None = None
        # Sending takes about as long as a short step: it need not be waited for. One
        # thread keeps the order.
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="agree")
        if self.first:
            threading.Thread(target=self._look_for_stops, daemon=True).start()

    def agree(self, find: Callable[[], Any]) -> Any:
        # Before anything is counted: where it raises, `tell` answers to this key.
        value = find() if self.first else None
        key = f"algoperf/agreed/{self._agreed}"
        self._agreed += 1
        if self.first:
            message = self._send(key, value=value)
        else:
            text = self._client.blocking_key_value_get(key, PATIENCE_S * 1000)
            message = json.loads(text)
        self.stop_signal = message["stop"]
        if "error" in message:
            raise ToldError(message["error"])
        return message["value"]

    def tell(self, error: UserError) -> None:
        if self.first:
            self._send(f"algoperf/agreed/{self._agreed}", error=str(error))

    def close(self) -> None:
        self._sender.shutdown()
        jax.distributed.shutdown()

    def ask_to_stop(self, signal_number: int) -> None:
        self._asked = signal_number
        if not self.first:
            key = f"algoperf/stop/{self._index}"
            self._sender.submit(self._client.key_value_set, key, str(signal_number))

    def _send(self, key: str, **content: Any) -> dict[str, Any]:
        text = json.dumps({**content, "stop": self._asked})
        self._sender.submit(self._client.key_value_set, key, text)
        if self._agreed > _KEPT:
            old = f"algoperf/agreed/{self._agreed - _KEPT}"
            self._sender.submit(self._client.key_value_delete, old)
        # As the others get it: JSON turns tuples into lists.
        return json.loads(text)

    def _look_for_stops(self) -> None:
        while self._asked is None:
            time.sleep(STOP_POLL_S)
            try:
                asked = self._client.key_value_dir_get("algoperf/stop/")
            except Exception:  # nobody is there any more: the run ends anyway
                return
            if asked:
                self._asked = int(asked[0][1])


def connect(cluster: Cluster) -> Hosts:
    """Connects this process with the others; call it before any use of JAX.

    Without an address JAX finds the others by the launcher: SLURM, Open MPI, TPU pods,
    Kubernetes.

    Raises:
      UserError: there is nothing to find them by, or they cannot be reached.
    """
    try:
        jax.distributed.initialize(*cluster)
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"the processes of this run do not find each other: {reason}. Start them "
            "with srun or mpirun, or give --coordinator_address=HOST:PORT, "
            "--num_processes and --process_id to each."
        ) from error
    if jax.process_count() == 1:
        return Alone()
    # JAX has no public name for its key-value store.
    from jax._src import distributed

    return Together(distributed.global_state.client, jax.process_index())
