"""Checkpoints: array leaves in Orbax, everything else in a manifest, all hashed.

Orbax restores a flipped bit and another dtype without a word, so every leaf is
hashed when it is saved and checked when it is restored.
"""

import base64
import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from algoperf.cluster import Alone, Hosts
from algoperf.facts import UserError
from algoperf.leaves import Leaf, describe, pickled, revive


class DamagedCheckpoint(Exception):
    """What was read is not what was written."""


class Checkpoints:
    """The checkpoints of one trial, written in the background.

    Args:
      folder: created when the first checkpoint is saved.
      keep: how many of the latest to keep; None keeps all.
      report: called with a message when a checkpoint turns out to be damaged.
      hosts: the processes of the run: the first one saves, all restore.
    """

    def __init__(
        self,
        folder: Path,
        keep: int | None,
        report: Callable[[str], None] = print,
        hosts: Hosts | None = None,
    ):
        self._folder = folder.absolute()
        self._report = report
        self._hosts = hosts or Alone()
        if self._hosts.first:
            self._folder.mkdir(parents=True, exist_ok=True)
            # What a killed process had begun: nobody would finish or remove it.
            for unfinished in self._folder.glob("*.orbax-checkpoint-tmp*"):
                shutil.rmtree(unfinished)
        # Each process has a manager of its own, that does not wait for the others.
        index = jax.process_index()
        alone = ocp.options.MultiprocessingOptions(
            primary_host=index,
            active_processes={index} if jax.process_count() > 1 else None,
            barrier_sync_key_prefix=f"process_{index}",
        )
        self._manager = ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep, create=False, multiprocessing_options=alone
            ),
        )

    def save(self, step: int, state: Any, progress: dict[str, Any]) -> None:
        """Copies the state to the host and lets it be written in the background.

        The copy matters: the next step may donate and overwrite the arrays.
        """
        if not self._hosts.first:
            return
        leaves, structure = _flatten(state)
        described = [describe(path, leaf) for path, leaf in leaves]
        body = json.dumps(
            {
                "leaves": [
                    leaf.manifest() | {"digest": _digest(leaf)} for leaf in described
                ],
                "structure": structure,
                "progress": progress,
            }
        )
        manifest = {"body": body, "digest": _text_digest(body)}
        arrays = {
            _slot(i): leaf.array
            for i, leaf in enumerate(described)
            if leaf.stored and leaf.array is not None
        }
        items: dict[str, Any] = {"manifest": ocp.args.JsonSave(manifest)}  # type: ignore[call-arg]
        if arrays:  # Orbax refuses an empty tree
            items["arrays"] = ocp.args.StandardSave(arrays)  # type: ignore[call-arg]
        self._check_space(sum(array.nbytes for array in arrays.values()))
        try:
            self._manager.save(step, args=ocp.args.Composite(**items))
        except Exception as error:  # TensorStore reports a full disk as ValueError
            raise _cannot_write(self._folder, error) from error

    def restore(self, template: Any) -> tuple[Any, dict[str, Any]] | None:
        """The latest undamaged (state, progress), or None where there is none.

        Args:
          template: a freshly initialised state; leaves that are no arrays (such as
            functions) are taken from it.
        """
        found = self._latest() if self._hosts.first else None
        step = self._hosts.agree(lambda: None if found is None else found[0])
        if step is None:
            return None
        leaves, body = self._read(step) if found is None else found[1:]
        return _unflatten(leaves, body["structure"], template), body["progress"]

    def _latest(self) -> tuple[int, list[Leaf], dict[str, Any]] | None:
        """The latest undamaged checkpoint: step, leaves, manifest."""
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                return step, *self._read(step)
            except (MemoryError, PermissionError):
                raise  # nothing is wrong with the checkpoint
            except Exception as error:
                self._set_aside(step, error)
        return None

    def _read(self, step: int) -> tuple[list[Leaf], dict[str, Any]]:
        """The leaves and the manifest of a checkpoint, if their hashes are right."""
        manifest = self._manager.restore(
            step,
            args=ocp.args.Composite(manifest=ocp.args.JsonRestore()),
        )["manifest"]
        if _text_digest(manifest["body"]) != manifest["digest"]:
            raise DamagedCheckpoint(
                "its manifest does not have the hash it was saved with"
            )
        body = json.loads(manifest["body"])
        leaves = [Leaf.from_manifest(entry) for entry in body["leaves"]]
        targets = {
            _slot(i): np.empty(leaf.shape, leaf.dtype)
            for i, leaf in enumerate(leaves)
            if leaf.stored
        }
        arrays = self._restore_arrays(step, targets) if targets else {}
        found = [leaf.with_array(arrays.get(_slot(i))) for i, leaf in enumerate(leaves)]
        for leaf, entry in zip(found, body["leaves"], strict=True):
            if _digest(leaf) != entry["digest"]:
                raise DamagedCheckpoint(
                    f"{leaf.path} does not have the hash it was saved with"
                )
        return found, body

    def _restore_arrays(
        self, step: int, targets: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        restore = ocp.args.StandardRestore(targets)  # type: ignore[call-arg]
        return self._manager.restore(step, args=ocp.args.Composite(arrays=restore))[
            "arrays"
        ]

    def _set_aside(self, step: int, error: Exception) -> None:
        """Moves a damaged checkpoint out of the way: its step will be saved again."""
        kept = self._folder.parent / f"damaged_checkpoint_{step}"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.move(self._folder / str(step), kept)
        self._manager.reload()
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        self._report(
            f"the checkpoint of step {step} is damaged ({reason}); it was moved to "
            f"{kept}, an earlier one is used"
        )

    def _check_space(self, needed_bytes: int) -> None:
        """Says that the disk is full before a background thread of Orbax does."""
        free_bytes = shutil.disk_usage(self._folder).free
        if free_bytes < needed_bytes:
            raise UserError(
                f"no room for a checkpoint in {self._folder}: it takes "
                f"{needed_bytes / 1e6:,.1f} MB, {free_bytes / 1e6:,.1f} MB are free. "
                "Make room, or give another --experiment_dir; the same command line "
                "then goes on."
            )

    def wait(self) -> None:
        """Returns when everything saved is on the disk."""
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise _cannot_write(self._folder, error) from error

    def close(self) -> None:
        """Waits, and frees what Orbax holds."""
        self.wait()
        self._manager.close()


def _cannot_write(folder: Path, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or str(error).rpartition(": ")[2]
    return UserError(
        f"cannot write a checkpoint to {folder}: {reason}. Make room, or give another "
        "--experiment_dir; the same command line then goes on."
    )


def _slot(index: int) -> str:
    return f"leaf_{index:05d}"


def _flatten(state: Any) -> tuple[list[tuple[str, Any]], str | None]:
    """Leaves with their paths, and the pickled structure if it can be pickled."""
    leaves, treedef = jax.tree_util.tree_flatten_with_path(state)
    named = [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves]
    # None for nodes of a class defined inside a function: the template has to do.
    skeleton = jax.tree_util.tree_unflatten(treedef, range(len(leaves)))
    return named, pickled(skeleton)


def _unflatten(leaves: list[Leaf], structure: str | None, template: Any) -> Any:
    fresh, fresh_treedef = jax.tree_util.tree_flatten_with_path(template)
    fresh_leaves = {jax.tree_util.keystr(path): leaf for path, leaf in fresh}
    treedef = None if structure is None else _unpickled_structure(structure)
    if treedef is not None:
        pass
    elif [leaf.path for leaf in leaves] == list(fresh_leaves):
        treedef = fresh_treedef
    else:
        raise UserError(
            "this trial cannot be resumed: its state changed its structure since "
            "init_optimizer_state, and holds nodes of a class that cannot be pickled. "
            "Define that class at the top of a module, or run the trial again with "
            "--overwrite."
        )
    return jax.tree.unflatten(
        treedef, [revive(leaf, fresh_leaves.get(leaf.path)) for leaf in leaves]
    )


def _unpickled_structure(structure: str) -> Any | None:
    """The tree structure, or None where a class of a node is no longer there."""
    try:
        return jax.tree.structure(pickle.loads(base64.b64decode(structure)))
    except Exception:
        return None


def _digest(leaf: Leaf) -> str:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(leaf.manifest(), sort_keys=True).encode())
    if leaf.array is not None:
        digest.update(np.ascontiguousarray(leaf.array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _text_digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
