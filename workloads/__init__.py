"""The fixed workloads. `catalog` has their facts; `load` builds one."""
