"""Turns trial folders into a leaderboard: logs in, time to target and scores out.

Pure functions over frozen records, and never JAX: `rules` (what is scored), `load`
(folders to trials), `runtimes` (trials to seconds per workload), `profiles` (seconds
to scores), `scoreboard` (all of it in order), `report` and `export` (what is shown
and written), `cli` (the command `algoperf score`).
"""
