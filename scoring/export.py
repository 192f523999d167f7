"""The files that `algoperf score` writes."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from algoperf import records
from algoperf.facts import UserError
from scoring.document import as_document
from scoring.folders import SCORES_FILE
from scoring.leaderboard import leaderboard_rows
from scoring.markdown import leaderboard_markdown
from scoring.score_report import ScoreReport

CSV_FILE = "leaderboard.csv"
MARKDOWN_FILE = "leaderboard.md"
PAGE_FILE = "leaderboard.html"


def write_scores(report: ScoreReport, folder: Path, page: bool = True) -> list[Path]:
    """Writes the files into `folder`, each of them whole or not at all.

    Args:
      page: also write leaderboard.html.

    Raises:
      UserError: the folder cannot be made or written.
    """
    document = as_document(report)
    files = {
        SCORES_FILE: json_lines(document),
        CSV_FILE: leaderboard_csv(report),
        MARKDOWN_FILE: leaderboard_markdown(report),
    }
    if page:
        # Here, and not above: without a page it need not be loaded.
        from scoring.web.page import render_page

        files[PAGE_FILE] = render_page(report)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            records.write_text(folder / name, text)
    except OSError as error:
        raise UserError(
            f"cannot write scores into {folder}: {error.strerror or error}. "
            "--output_dir names a folder that can be written."
        ) from None
    return [folder / name for name in files]


def json_lines(document: dict[str, Any]) -> str:
    """Strict JSON with a line for every key at the top.

    Indented all the way, large documents would take three times as long to write.
    """
    lines = [
        f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}"
        for key, value in records.finite(document).items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def leaderboard_csv(report: ScoreReport) -> str:
    """The leaderboard, numbers in full precision."""
    rows = leaderboard_rows(report)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
