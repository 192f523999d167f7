"""Turns trial folders into a leaderboard: logs in, scores and how sure they are out.

    import scoring

    report = scoring.score("logs/external_tuning", "v0.6")
    report.scores            # {"shampoo": 0.6238..., "baseline": 0.4579...}
    report.compare("shampoo", "baseline").verdict
    report.to_frame()        # with pandas

Pure functions over frozen records, and never JAX. Data goes one way:

- logs: `archive`, `unpack`, `folders`, `eval_rows`, `rows`, `load`, `health`,
  `hardware`, `findings`
- rules: `rules`, `rules_file`, `fit`
- seconds: `reach` (one trial), `early_stops`, `runtimes` (studies, workloads), `cube`
  (as arrays)
- scores: `profiles`, `scoreboard`
- how sure: `statistics`, `sensitivity`; without the field: `speedup`, `steps`, `pace`,
  `tuning_curve`, `winners`; two alone: `compare`
- all together: `score_report`
- out: `document` (scores.json), `leaderboard`, `markdown`, `report`, `web`, `export`,
  `cli` (the command `algoperf score`)
"""

from scoring.score_report import ScoreReport, score

__all__ = ["ScoreReport", "score"]
