"""leaderboard.html: one file that needs no network and, but for comfort, no JavaScript.

`page` puts it together from tables (`ranking`, `medians`, `clock`, `details`) and
charts (`profile_chart`, `time_chart`, `curve_chart`, `line_chart`; `axes`, `look` and
`attempts` serve them), all made of `markup`, which escapes every text. page.css and
page.js are put in as they are.
"""
