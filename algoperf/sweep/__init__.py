"""Many trials: planned, run on this machine or a cluster, watched, and joined.

Standard library only: to plan and to watch must not wait for JAX. Data flows

    plan -> record, tasks -> scan -> local or slurm -> supervise -> (algoperf run)

and `status` and `merge` read what was written. A task is one trial; it runs in a
process of its own, as the `algoperf run` line that a person would type.
"""
