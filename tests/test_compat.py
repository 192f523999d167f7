"""Names that JAX has removed come back for submissions, and are reported."""

import inspect
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algoperf import compat

SUPPLIED = compat.supply_removed_names()


def look_up(dotted: str):
    module, _, name = dotted.rpartition(".")
    return getattr(sys.modules[module], name)


@pytest.mark.parametrize("name", sorted(SUPPLIED - {compat.CLIP}))
def test_every_supplied_name_is_there(name: str):
    assert look_up(name) is not None


def test_nothing_that_jax_has_is_replaced():
    code = """
import warnings
warnings.simplefilter("ignore")
import importlib, jax
from algoperf import compat
modules = {name.rpartition(".")[0] for name in compat.known_names()}
def names():
    found = {}
    for name in compat.known_names():
        module, _, own = name.rpartition(".")
        try:
            found[name] = getattr(importlib.import_module(module), own, None)
        except ImportError:
            found[name] = None
    return found
before = names()
compat.supply_removed_names()
after = names()
changed = [n for n in before if before[n] is not None and after[n] is not before[n]]
assert not changed, changed
assert all(value is not None for value in after.values()), after
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_old_names_do_what_they_did():
    tree = {"a": jnp.arange(3.0)}
    assert jax.tree_map(lambda leaf: leaf + 1, tree)["a"].tolist() == [1, 2, 3]
    assert jax.tree_leaves(tree)[0] is tree["a"]
    assert bool(jnp.alltrue(jnp.array([True, True])))
    assert jnp.product(jnp.array([2.0, 3.0])) == 6.0
    assert jnp.in1d(jnp.array([1, 5]), jnp.array([5])).tolist() == [False, True]
    assert float(jnp.trapz(jnp.array([0.0, 1.0]))) == 0.5
    assert np.isneginf(jnp.NINF)
    normal = jax.nn.normalize(jnp.array([1.0, 3.0]))
    np.testing.assert_allclose(normal, [-1.0, 1.0], rtol=1e-4)


def test_clip_takes_its_old_and_its_new_arguments():
    x = jnp.array([-2.0, 0.5, 2.0])
    for clipped in (
        jnp.clip(x, a_min=-1.0, a_max=1.0),
        jnp.clip(a=x, a_min=-1.0, a_max=1.0),
        jnp.clip(x, -1.0, 1.0),
        jnp.clip(x, min=-1.0, max=1.0),
        jax.jit(lambda x: jnp.clip(x, a_min=-1.0, a_max=1.0))(x),
    ):
        assert clipped.tolist() == [-1.0, 0.5, 1.0]
    assert jnp.clip(x, a_min=0.0).tolist() == [0.0, 0.5, 2.0]
    assert "a_min" in inspect.signature(jnp.clip).parameters


def test_a_copy_a_device_has_a_leading_axis():
    tree = {"a": jnp.arange(3.0)}
    devices = jax.local_devices()
    copies = jax.device_put_replicated(tree, devices)["a"]
    assert copies.shape == (len(devices), 3)
    assert len(copies.addressable_shards) == len(devices)
    shards = jax.device_put_sharded([{"a": jnp.full(2, n)} for n in range(2)], devices)
    assert shards["a"].tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import jax\njax.tree_map", {"jax.tree_map"}),
        ("import jax as j\nj.tree_map(1)", {"jax.tree_map"}),
        ("from jax import tree_map", {"jax.tree_map"}),
        ("from jax import tree_map as tm", {"jax.tree_map"}),
        ("import jax.numpy as jnp\njnp.alltrue(x)", {"jax.numpy.alltrue"}),
        ("from jax import numpy as n\nn.alltrue(x)", {"jax.numpy.alltrue"}),
        ("import jax\njax.numpy.alltrue(x)", {"jax.numpy.alltrue"}),
        ("from jax.config import config", {"jax.config.config"}),
        ("import jax.numpy as jnp\njnp.clip(x, a_min=0)", {compat.CLIP}),
        ("import jax.numpy as jnp\njnp.clip(x, min=0)", set()),
        ("import numpy as jnp\njnp.clip(x, a_min=0)\njnp.alltrue", set()),
        ("import jax\njax.tree.map\nmine.tree_map", set()),
        ("from .helpers import tree_map", set()),
    ],
)
def test_which_names_a_file_uses(tmp_path: Path, source: str, expected: set[str]):
    file = tmp_path / "submission.py"
    file.write_text(source)
    assert set(compat.removed_names_used([file])) == expected
