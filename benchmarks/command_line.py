"""How long `algoperf` takes to answer, against a Python that does nothing.

Each command runs as a process of its own, in turns with `python -c pass`. `score`
reads the folder of `make demo`, or one given as argument.

  python benchmarks/command_line.py [FOLDER]
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 11


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    folder = sys.argv[1] if len(sys.argv) > 1 else "demo"
    algoperf = [sys.executable, "-m", "algoperf"]
    with tempfile.TemporaryDirectory() as output:
        commands = {"--help": ["--help"], "list": ["list"]}
        if Path(folder).is_dir():
            commands["score"] = [
                "score",
                f"--submission_directory={folder}",
                "--rules=mini",
                f"--output_dir={output}",
            ]
        else:
            print(f"no folder {folder}: run `make demo` to have `score` timed too")
        for name, arguments in commands.items():
            seconds([*algoperf, *arguments])  # reads the files from the disk once
            pairs = [
                (
                    seconds([sys.executable, "-c", "pass"]),
                    seconds([*algoperf, *arguments]),
                )
                for _ in range(ROUNDS)
            ]
            nothing = statistics.median(pair[0] for pair in pairs)
            ours = statistics.median(pair[1] for pair in pairs)
            ratio = statistics.median(b / a for a, b in pairs)
            print(
                f"algoperf {name:<7} {ours:.3f} s, python {nothing:.3f} s, "
                f"ratio {ratio:.1f}"
            )


if __name__ == "__main__":
    main()
