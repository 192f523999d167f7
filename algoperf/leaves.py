"""One leaf of a training state, taken apart for a checkpoint and put together again."""

import base64
import pickle
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from algoperf.facts import UserError
from algoperf.jax_sharding_utils import BATCH_AXIS, get_mesh, get_replicate_sharding

Kind = Literal["jax", "key", "numpy", "scalar", "other"]

# Python and NumPy scalars, by the name of their type.
_SCALARS = {kind.__name__: kind for kind in (bool, int, float, complex)}


@dataclass(frozen=True)
class Leaf:
    """A leaf without what JSON cannot hold, and its values as a NumPy array.

    `note` is the rest of what makes the leaf: the value of a Python scalar, the
    implementation of a random key, the class of any other object. `pickled` is such
    an object in base64, or empty where it cannot be pickled.
    """

    path: str
    kind: Kind
    note: str = ""
    pickled: str = ""
    dtype: str = ""
    shape: tuple[int, ...] = ()
    weak_type: bool = False
    placement: tuple[str | None, ...] | Literal["single", "other"] | None = None
    array: np.ndarray | None = None

    @property
    def stored(self) -> bool:
        """Whether the values are stored as an array (Orbax refuses empty ones)."""
        return self.kind in ("jax", "key", "numpy") and 0 not in self.shape

    def manifest(self) -> dict[str, Any]:
        """All but the values, as plain JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        del plain["array"]
        plain["shape"] = list(self.shape)
        if isinstance(self.placement, tuple):
            plain["placement"] = list(self.placement)
        return plain

    @classmethod
    def from_manifest(cls, entry: dict[str, Any]) -> "Leaf":
        """The leaf of a manifest entry, still without its values."""
        known = {
            name: entry[name] for name in cls.__dataclass_fields__ if name in entry
        }
        known["shape"] = tuple(entry["shape"])
        if isinstance(entry["placement"], list):
            known["placement"] = tuple(entry["placement"])
        return cls(**known)

    def with_array(self, array: np.ndarray | None) -> "Leaf":
        """The same leaf with its values."""
        if array is None and self.kind in ("jax", "key", "numpy"):
            array = np.empty(self.shape, np.dtype(self.dtype))
        return replace(self, array=array)


def describe(path: str, value: Any) -> Leaf:
    """Takes a leaf apart; arrays are copied, so that their memory may be reused."""
    if isinstance(value, jax.Array):
        kind, note, data = "jax", "", value
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            kind, note = "key", str(jax.random.key_impl(value))
            data = jax.random.key_data(value)
        array = np.array(data, copy=True)
        return Leaf(
            path,
            kind,
            note,
            dtype=array.dtype.name,
            shape=array.shape,
            weak_type=value.aval.weak_type,
            placement=_placement(value),
            array=array,
        )
    if isinstance(value, np.ndarray | np.generic) and value.dtype != object:
        array = np.array(value, copy=True)
        note = "" if isinstance(value, np.ndarray) else "scalar"
        return Leaf(
            path,
            "numpy",
            note,
            dtype=array.dtype.name,
            shape=array.shape,
            array=array,
        )
    if type(value).__name__ in _SCALARS and type(value) in _SCALARS.values():
        text = value.hex() if isinstance(value, float) else repr(value)
        return Leaf(path, "scalar", text, dtype=type(value).__name__)
    name = type(value).__qualname__
    return Leaf(path, "other", name, pickled=pickled(value) or "")


def pickled(value: Any) -> str | None:
    """A pickle in base64, or None for what cannot be pickled (a local function)."""
    try:
        return base64.b64encode(pickle.dumps(value)).decode()
    except Exception:
        return None


def revive(leaf: Leaf, fresh: Any) -> Any:
    """Puts a leaf together again, on the devices where it was.

    Args:
      leaf: with its values.
      fresh: the leaf of the same path in a freshly initialised state, or None;
        functions, and objects that cannot be pickled, are taken from there.

    Raises:
      UserError: an object is neither in the checkpoint nor in a fresh state.
    """
    if leaf.kind == "other":
        # A function belongs to this process; any other object to the trial.
        if callable(fresh) or (fresh is not None and not leaf.pickled):
            return fresh
        if leaf.pickled:
            return pickle.loads(base64.b64decode(leaf.pickled))
        raise UserError(
            f"this trial cannot be resumed: {leaf.path} is a {leaf.note}, which no "
            "checkpoint can hold, and what init_optimizer_state returns has nothing "
            "at that place. Put it there, or run the trial again with --overwrite."
        )
    if leaf.kind == "scalar":
        if leaf.dtype == "float":
            return float.fromhex(leaf.note)
        return _SCALARS[leaf.dtype](
            leaf.note == "True" if leaf.dtype == "bool" else leaf.note
        )
    array = leaf.array
    assert array is not None
    if leaf.kind == "numpy":
        return array[()] if leaf.note == "scalar" else array
    weak = leaf.weak_type and array.ndim == 0
    value = jnp.asarray(array.item()) if weak else jnp.asarray(array)
    if leaf.kind == "key":
        value = jax.random.wrap_key_data(value, impl=leaf.note)
    return _place(value, leaf, fresh)


def _placement(value: jax.Array) -> Any:
    """Where an array is: its partition over our mesh, one device, or elsewhere."""
    sharding = value.sharding
    if isinstance(sharding, NamedSharding) and sharding.mesh.axis_names == (
        BATCH_AXIS,
    ):
        return tuple(
            name if isinstance(name, str) or name is None else BATCH_AXIS
            for name in sharding.spec
        )
    return "other" if value.committed else "single"


def _place(value: jax.Array, leaf: Leaf, fresh: Any) -> jax.Array:
    if isinstance(leaf.placement, tuple):
        spec = PartitionSpec(*leaf.placement)
        return jax.device_put(value, NamedSharding(get_mesh(), spec))
    if leaf.placement == "single":
        return value
    # A mesh of the submission's own: it is where a fresh state put this leaf.
    if isinstance(fresh, jax.Array) and fresh.shape == value.shape:
        return jax.device_put(value, fresh.sharding)
    return jax.device_put(value, get_replicate_sharding())
