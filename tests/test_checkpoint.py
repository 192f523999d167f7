"""Checkpoints: what was saved comes back, and damage is found."""

import functools
import operator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from algoperf.checkpoint import Checkpoints
from algoperf.facts import UserError
from algoperf.jax_sharding_utils import get_mesh, get_replicate_sharding, replicate


class Moments(NamedTuple):
    first: Any
    second: Any


@jax.tree_util.register_pytree_node_class
class Box:
    """A node of the submission's own, holding NumPy arrays and a setting."""

    def __init__(self, array, setting):
        self.array, self.setting = array, setting

    def tree_flatten(self):
        return (self.array,), self.setting

    @classmethod
    def tree_unflatten(cls, setting, children):
        return cls(*children, setting)


def saved_and_restored(folder: Path, state, template):
    writer = Checkpoints(folder / "c", keep=None)
    writer.save(3, state, {"step": 3})
    writer.close()
    reader = Checkpoints(folder / "c", keep=None)
    restored = reader.restore(template)
    reader.close()
    assert restored is not None
    assert restored[1] == {"step": 3}
    return restored[0]


def test_every_kind_of_leaf_comes_back_as_it_was(tmp_path):
    state = {
        "float": jnp.arange(6.0).reshape(2, 3) / 3,
        "bfloat16": jnp.ones(3, jnp.bfloat16) / 3,
        "int": jnp.arange(3),
        "bool": jnp.array([True, False]),
        "scalar": jnp.float32(0.1),
        "weak": jnp.asarray(2.5),
        "empty": jnp.zeros((0, 4)),
        "key": jax.random.key(5),
        "raw_key": jax.random.PRNGKey(5),
        "numpy": np.linspace(0, 1, 5),
        "numpy_scalar": np.float64(0.1),
        "python": [1, 0.1, True, None, 2**70, -1.5e-300, float("inf")],
        "complex": 1 + 2j,
        "text": "sgd",
        "node": Box(np.arange(4), "setting"),
        "named": Moments(jnp.ones(2), (jnp.zeros(1), [])),
        "partial": functools.partial(operator.add, 1),
    }
    found = saved_and_restored(tmp_path, state, template={})
    assert jax.tree.structure(found) == jax.tree.structure(state)
    flat = jax.tree_util.tree_flatten_with_path(state)[0]
    for (path, expected), value in zip(flat, jax.tree.leaves(found), strict=True):
        name = jax.tree_util.keystr(path)
        assert type(value) is type(expected), name
        if isinstance(expected, jax.Array):
            assert value.dtype == expected.dtype, name
            assert value.aval == expected.aval, name  # with its weak type
            if name == "['key']":
                expected, value = map(jax.random.key_data, (expected, value))
        if isinstance(expected, functools.partial):
            assert value(2) == 3
            continue
        np.testing.assert_array_equal(value, expected, err_msg=name)


def test_optax_state_keeps_its_classes_and_functions_come_from_the_template(tmp_path):
    params = {"w": jnp.ones((3, 2)), "b": jnp.zeros(2)}
    optimizer = optax.adamw(1e-3)
    state = (optimizer.init(params), optimizer.update)
    fresh = (optax.adamw(1e-3).init(params), optimizer.update)
    found = saved_and_restored(tmp_path, state, fresh)
    assert jax.tree.structure(found) == jax.tree.structure(state)
    assert type(found[0][0]) is type(state[0][0])
    assert found[1] is optimizer.update


def test_placement_is_restored(tmp_path):
    split = NamedSharding(get_mesh(), PartitionSpec("batch"))
    state = {
        "replicated": replicate(jnp.arange(4.0)),
        "split": jax.device_put(jnp.arange(4.0), split),
        "one device": jnp.arange(4.0),
    }
    found = saved_and_restored(tmp_path, state, template={})
    assert found["replicated"].sharding == get_replicate_sharding()
    assert found["split"].sharding == split
    assert not found["one device"].committed


def test_a_structure_that_changed_since_the_start_is_kept(tmp_path):
    state = {"average": jnp.ones(2), "history": [jnp.zeros(1), jnp.ones(1)]}
    found = saved_and_restored(tmp_path, state, {"average": None, "history": []})
    assert jax.tree.structure(found) == jax.tree.structure(state)


def test_an_object_that_nothing_can_bring_back_is_named(tmp_path):
    state = {"late": lambda x: x}
    with pytest.raises(UserError, match=r"\['late'\] is a function.*--overwrite"):
        saved_and_restored(tmp_path, state, template={})


def test_later_changes_of_donated_memory_do_not_reach_a_checkpoint(tmp_path):
    step = jax.jit(lambda x: x + 1.0, donate_argnums=0)
    writer = Checkpoints(tmp_path / "c", keep=None)
    x = jnp.zeros(200_000)
    for i in range(5):
        writer.save(i, {"x": x}, {})
        x = step(x)
    writer.close()
    reader = Checkpoints(tmp_path / "c", keep=None)
    restored = reader.restore({})
    reader.close()
    assert restored is not None
    np.testing.assert_array_equal(restored[0]["x"], np.full(200_000, 4.0))


def two_checkpoints(folder: Path) -> None:
    writer = Checkpoints(folder, keep=2)
    for step in (10, 20):
        noise = jax.random.normal(jax.random.key(step), (300, 300))
        writer.save(step, {"w": noise, "rate": 0.5}, {"step": step})
    writer.close()


def largest_file(folder: Path) -> Path:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return max(files, key=lambda file: file.stat().st_size)


def flip_bit(file: Path, position: float) -> None:
    content = bytearray(file.read_bytes())
    content[int(position * (len(content) - 1))] ^= 1
    file.write_bytes(content)


def truncate(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])


@pytest.mark.parametrize("position", [0.05, 0.3, 0.5, 0.8, 0.97])
@pytest.mark.parametrize("damage", [flip_bit, truncate])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_used(
    tmp_path, damage, position
):
    folder = tmp_path / "checkpoints"
    two_checkpoints(folder)
    damage(largest_file(folder / "20"), position)
    messages: list[str] = []
    reader = Checkpoints(folder, keep=2, report=messages.append)
    restored = reader.restore({})
    assert restored is not None
    state, progress = restored
    assert progress == {"step": 10}
    expected = jax.random.normal(jax.random.key(10), (300, 300))
    np.testing.assert_array_equal(state["w"], expected)
    assert len(messages) == 1
    assert "checkpoint of step 20 is damaged" in messages[0]
    assert (tmp_path / "damaged_checkpoint_20").is_dir()
    # The step is made again, and saved again.
    reader.save(20, {"w": expected, "rate": 0.25}, {"step": 20})
    reader.close()
    again = Checkpoints(folder, keep=2)
    restored = again.restore({})
    again.close()
    assert restored is not None
    assert restored[1] == {"step": 20}


@pytest.mark.parametrize("part", ["arrays", "manifest"])
def test_a_part_that_is_gone_is_damage(tmp_path, part):
    import shutil

    two_checkpoints(tmp_path / "c")
    shutil.rmtree(tmp_path / "c" / "20" / part)
    messages: list[str] = []
    reader = Checkpoints(tmp_path / "c", keep=2, report=messages.append)
    restored = reader.restore({})
    reader.close()
    assert restored is not None
    assert restored[1] == {"step": 10}
    assert messages


def test_a_changed_number_in_the_manifest_is_damage(tmp_path):
    two_checkpoints(tmp_path / "c")
    file = largest_file(tmp_path / "c" / "20" / "manifest")
    text = file.read_text()
    assert '\\"step\\": 20' in text
    file.write_text(text.replace('\\"step\\": 20', '\\"step\\": 21'))
    messages: list[str] = []
    reader = Checkpoints(tmp_path / "c", keep=2, report=messages.append)
    restored = reader.restore({})
    reader.close()
    assert restored is not None
    assert restored[1] == {"step": 10}
    assert "manifest does not have the hash" in messages[0]


def test_without_any_checkpoint_there_is_nothing_to_restore(tmp_path):
    reader = Checkpoints(tmp_path / "c", keep=2)
    assert reader.restore({}) is None
    reader.close()


def test_only_the_latest_are_kept(tmp_path):
    for keep, expected in ((2, ["3", "4"]), (None, ["0", "1", "2", "3", "4"])):
        writer = Checkpoints(tmp_path / str(keep), keep=keep)
        for step in range(5):
            writer.save(step, {"x": jnp.ones(2)}, {})
        writer.close()
        found = sorted(f.name for f in (tmp_path / str(keep)).iterdir() if f.is_dir())
        assert found == expected


def test_what_a_killed_process_had_begun_to_save_is_removed(tmp_path):
    folder = tmp_path / "checkpoints"
    two_checkpoints(folder)
    begun = folder / "30.orbax-checkpoint-tmp"
    begun.mkdir()
    (begun / "data").write_text("x")
    reader = Checkpoints(folder, keep=2)
    assert not begun.exists()
    restored = reader.restore({})
    reader.close()
    assert restored is not None
    assert restored[1] == {"step": 20}
