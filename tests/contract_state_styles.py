"""Styles of the contract that do something unusual with the training state."""

from typing import Any

ODD_STATE = """
@jax.tree_util.register_pytree_node_class
class Node:
    def __init__(self, velocity, table):
        self.velocity, self.table = velocity, table

    def tree_flatten(self):
        return (self.velocity, self.table), "static"

    @classmethod
    def tree_unflatten(cls, static, children):
        assert static == "static"
        return cls(*children)

def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    velocity = jax.tree.map(jnp.zeros_like, params)
    node = Node(velocity, np.arange(3.0))
    return {"node": node, "none": None, "step": jitted, "count": 0}, lambda x: x + 1

eleven = update_params

def update_params(
    workload, current_param_container, current_params_types, model_state,
    hyperparameters, batch, loss_type, optimizer_state, eval_results, global_step, rng,
):
    state, add = optimizer_state
    node = state["node"]
    assert state["none"] is None and state["count"] == global_step
    assert type(node.table) is np.ndarray, type(node.table)
    np.testing.assert_array_equal(node.table, np.arange(3.0) + global_step)
    velocity, params, model_state, _ = state["step"](
        workload, node.velocity, current_param_container, model_state, batch, rng,
        *options(hyperparameters),
    )
    node = Node(velocity, node.table + 1)
    return (state | {"node": node, "count": add(global_step)}, add), params, model_state
"""

CHANGING_STATE = """
plain = update_params
total = jax.jit(lambda extra: sum(extra))

def update_params(
    workload, current_param_container, current_params_types, model_state,
    hyperparameters, batch, loss_type, optimizer_state, eval_results, global_step, rng,
):
    arguments = dict(locals())
    state, extra = optimizer_state
    assert len(extra or ()) == max(global_step - 1, 0)
    if extra:  # every time another structure
        assert total(extra) == sum(range(global_step))
    arguments["optimizer_state"] = state, None
    (state, _), params, model_state = plain(**arguments)
    extra = None if global_step == 0 else (*(extra or ()), jnp.float32(global_step))
    return (state, extra), params, model_state
"""

SWAPS = """
@jax.jit
def averaged(average, params):
    return jax.tree.map(lambda a, p: 0.5 * a + 0.5 * p, average, params)

def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    zeros = jax.tree.map(jnp.zeros_like, params)
    return zeros, {"average": jax.tree.map(jnp.copy, params), "trained": None}

plain = update_params

def update_params(
    workload, current_param_container, current_params_types, model_state,
    hyperparameters, batch, loss_type, optimizer_state, eval_results, global_step, rng,
):
    arguments = dict(locals())
    state, rest = optimizer_state
    if rest["trained"] is not None:
        arguments["current_param_container"] = rest["trained"]
    (state, _), params, model_state = plain(**arguments)
    average = averaged(rest["average"], params)
    return (state, {"average": average, "trained": None}), params, model_state

def prepare_for_eval(
    workload, current_param_container, current_params_types, model_state,
    hyperparameters, loss_type, optimizer_state, eval_results, global_step, rng,
):
    assert global_step > 0
    state, rest = optimizer_state
    swapped = {"average": rest["average"], "trained": current_param_container}
    copied = jax.tree.map(jnp.copy, rest["average"])
    return (state, swapped), copied, model_state
"""

DONATES_IN_PREPARE = """
@functools.partial(jax.jit, donate_argnums=(0, 1, 2), out_shardings=REPLICATED)
def shrink(state, params, model_state):
    params = jax.tree.map(lambda p: 0.99 * p, params)
    return jax.tree.map(lambda v: v + 0.0, state), params, model_state

def prepare_for_eval(*, current_param_container, model_state, optimizer_state, **rest):
    state, extra = optimizer_state
    state, params, model_state = shrink(state, current_param_container, model_state)
    return (state, extra), params, model_state
"""

ON_ONE_DEVICE = """
def prepare_for_eval(*, current_param_container, model_state, optimizer_state, **rest):
    arrays = optimizer_state, current_param_container, model_state
    alone = jax.tree.map(lambda leaf: jnp.asarray(np.array(leaf)), arrays)
    assert not any(leaf.committed for leaf in jax.tree.leaves(alone))
    return alone
"""

STATE_STYLES: dict[str, dict[str, Any]] = {
    "odd_state": {"more": ODD_STATE, "resumed": True},
    "changing_state": {
        "more": CHANGING_STATE,
        "resumed": True,
        "compiles_anew": True,
    },
    "swaps_params": {"more": SWAPS, "resumed": True},
    "donates_in_prepare": {"more": DONATES_IN_PREPARE, "resumed": True},
    "one_device_in_prepare": {"more": ON_ONE_DEVICE},
}
