"""Whatever is damaged of a checkpoint: the one before is used, or nothing changed."""

import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
from runs import EVERY, assert_equal_trials, line, run, trial_of

pytestmark = pytest.mark.faults

STEPS = 60
PROGRAM = str(Path(__file__).with_name("damage.py"))


@pytest.fixture(scope="module")
def trial(tmp_path_factory) -> Path:
    """A trial with its last two checkpoints."""
    folder = tmp_path_factory.mktemp("whole")
    done = run(folder, line(STEPS))
    assert done.returncode == 0, done.stderr
    return trial_of(folder)


def restored_after_damage(trial: Path, step: int, folder: Path) -> list[list]:
    words = [sys.executable, PROGRAM, str(trial), str(step), str(folder)]
    done = run(folder, words, timeout_s=580)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_part_of_every_file(trial, tmp_path):
    before = tmp_path / "before"
    shutil.copytree(trial, before)
    shutil.rmtree(before / "checkpoints" / str(STEPS))
    # One file away, and the one before is all there is: what its values are.
    shutil.copytree(trial / f"checkpoints/{STEPS - EVERY}", before / "checkpoints/99")
    _, _, step, earlier, *_ = restored_after_damage(before, 99, tmp_path)[-1]
    assert step == STEPS - EVERY
    noticed, meaningless = Counter(), Counter()
    good: set[str] = set()
    for name, what, step, values, said, kept in restored_after_damage(
        trial, STEPS, tmp_path
    ):
        case = f"{name} {what}: step {step}, {said}"
        if step == STEPS:  # a byte that means nothing
            meaningless[name] += 1
            good.add(values)
            assert said == [], case
            continue
        noticed[name] += 1
        assert (step, values) == (STEPS - EVERY, earlier), case
        assert f"the checkpoint of step {STEPS} is damaged" in said[0], case
        assert kept, case
    assert len(good) == 1, "the same checkpoint with two contents"
    for name in sorted({*noticed, *meaningless}):
        print(f"{name}: {noticed[name]} noticed, {meaningless[name]} change nothing")


@pytest.mark.parametrize("both", [False, True], ids=["the last", "both"])
def test_a_trial_goes_on_behind_a_damaged_checkpoint(trial, tmp_path, both):
    fault = {"at": ["doing", "a step", 59], "do": "kill"}
    assert run(tmp_path, line(STEPS, fault=fault)).returncode < 0
    found = trial_of(tmp_path)
    # One may still have been on its way to the disk.
    before, last = sorted(
        int(folder.name) for folder in found.glob("checkpoints/[0-9]*[0-9]")
    )
    for step in (before, last) if both else (last,):
        files = [f for f in found.glob(f"checkpoints/{step}/**/*") if f.is_file()]
        largest = max(files, key=lambda file: file.stat().st_size)
        content = bytearray(largest.read_bytes())
        content[len(content) // 2] ^= 1
        largest.write_bytes(content)
    done = run(tmp_path, line(STEPS))
    assert done.returncode == 0, done.stderr
    assert f"the checkpoint of step {last} is damaged" in done.stdout
    if both:
        assert f"the checkpoint of step {before} is damaged" in done.stdout
        assert "no usable checkpoint: starting again from step 0" in done.stdout
    else:
        assert f"resumed from step {before}" in done.stdout
    assert_equal_trials(trial, found)
