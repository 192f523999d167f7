"""Archives score like the folders they hold, and say what is wrong with them."""

import io
import os
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from score_trees import one_trial_each, rules_for, write_tree

from algoperf.facts import UserError
from scoring.archive import archive_in, opened, without_suffix
from scoring.cli import default_output
from scoring.document import as_document
from scoring.score_report import score

RULES = rules_for("a", studies=2)
TIMES = one_trial_each({"x": {"a": [5.0, 6.0]}, "y": {"a": [9.0, 8.0]}})
KINDS = {
    "logs.tar.xz": "w:xz",
    "logs.tar.gz": "w:gz",
    "logs.tgz": "w:gz",
    "logs.tar.bz2": "w:bz2",
    "logs.tar": "w",
    "LOGS.TAR.GZ": "w:gz",
    "logs.zip": "",
}


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of temporary folders: empty again after every test."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = write_tree(tmp_path / "tree", TIMES)
    (root / "x/study_0/a_jax/trial_1/hparams.json").write_text('{"lr": 0.5}')
    (root / "README.md").write_text("stray")
    (root / "x/study_1/a_jax/trial_1_old").mkdir()
    return root


def pack(source: Path, archive: Path, inside: str = "") -> Path:
    """The content of a folder as an archive, below a folder `inside`."""
    mode = KINDS[archive.name]
    if mode:
        with tarfile.open(archive, mode) as members:
            members.add(source, arcname=inside)
    else:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as members:
            for path in sorted(source.rglob("*")):
                members.write(path, Path(inside) / path.relative_to(source))
    return archive


def refused(path: Path, scratch: Path) -> str:
    with pytest.raises(UserError) as error:
        score(path, RULES, resamples=10)
    text = str(error.value)
    assert str(scratch) not in text
    assert "algoperf_score_" not in text
    return text


@pytest.mark.parametrize("name", KINDS)
def test_an_archive_scores_as_its_folder(tmp_path: Path, tree: Path, name: str):
    archive = pack(tree, tmp_path / name)
    documents = []
    for path in (tree, archive):
        report = score(path, RULES, resamples=50)
        assert report.scores == pytest.approx({"x": 1.0, "y": (4 - 17 / 11) / 3})
        assert report.winners[0].hyperparameters == {"lr": 0.5}
        assert report.source == path.name
        documents.append(as_document(report) | {"source": ""})
    assert documents[0] == documents[1]
    assert documents[0]["health"]


@pytest.mark.parametrize("name", ["logs.tar.gz", "logs.zip"])
def test_folders_around_the_logs_are_passed_through(
    tmp_path: Path, tree: Path, name: str
):
    archive = pack(tree, tmp_path / name, inside="download/logs/external_tuning")
    report = score(archive, RULES, resamples=10)
    assert report.source == f"{name}/download/logs/external_tuning"
    assert list(report.scores) == ["x", "y"]
    inner = score(archive / "download/logs", RULES, resamples=10)
    assert inner.scores == report.scores
    assert inner.source == "logs/external_tuning"


def test_the_ruleset_chooses_among_the_folders_of_the_log_repository(
    tmp_path: Path, tree: Path, scratch: Path
):
    both = tmp_path / "both"
    (both / "logs").mkdir(parents=True)
    tree.rename(both / "logs/external_tuning")
    own = one_trial_each({"z": {"a": [7.0, 7.0]}})
    write_tree(both / "logs/self_tuning", own)
    for path in both.rglob("trial.json"):
        path.unlink()
    archive = pack(both, tmp_path / "logs.tar.xz")
    for ruleset, names in (("external", ["x", "y"]), ("self", ["z"])):
        report = score(archive, RULES, tuning_ruleset=ruleset, resamples=10)
        assert list(report.scores) == names
        assert {own.ruleset for own in report.board.entries} == {ruleset}
    text = refused(archive, scratch)
    assert text.startswith(f"{archive} holds no submissions")
    assert f"but these do: {archive / 'logs/external_tuning'}, " in text
    # What it names can be given as it is.
    alone = score(archive / "logs/self_tuning", RULES, resamples=10)
    assert {entry.ruleset for entry in alone.board.entries} == {"self"}


def test_a_folder_that_the_archive_does_not_hold(
    tmp_path: Path, tree: Path, scratch: Path
):
    archive = pack(tree, tmp_path / "logs.zip")
    assert refused(archive / "nowhere", scratch) == (
        f"{archive} holds no folder nowhere; at the top it has: README.md, x, y."
    )


def test_messages_about_submissions_name_the_archive(
    tmp_path: Path, tree: Path, scratch: Path
):
    archive = pack(tree, tmp_path / "logs.tar.gz")
    with pytest.raises(UserError) as error:
        score(archive, RULES, submissions=["xx"])
    assert str(error.value).startswith(
        f"{archive} has no submission 'xx'; did you mean"
    )
    other = replace(RULES, workloads=rules_for("b").workloads)
    with pytest.raises(UserError) as error:
        score(archive, other)
    assert str(error.value).startswith(f"{archive} has no logs of a workload")


@pytest.mark.parametrize("name", ["logs.tar.gz", "logs.zip"])
def test_an_archive_without_submissions(tmp_path: Path, scratch: Path, name: str):
    (tmp_path / "empty/some").mkdir(parents=True)
    archive = pack(tmp_path / "empty", tmp_path / name)
    text = refused(archive, scratch)
    assert text.startswith(f"{archive} holds no submissions")
    assert "found: some. Expected: <submission>/study_0/" in text


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("content", [b"", b"this is no archive", b"PK\x03\x04" * 9])
def test_content_that_is_no_archive(
    tmp_path: Path, scratch: Path, name: str, content: bytes
):
    archive = tmp_path / name
    archive.write_bytes(content)
    text = refused(archive, scratch)
    assert text.startswith(f"cannot read the archive {archive}: ")
    assert text.endswith("Unpack it yourself, or download it again.")


def test_the_compression_may_be_another_than_the_name_says(tmp_path: Path, tree: Path):
    archive = pack(tree, tmp_path / "logs.tar.gz")
    other = archive.rename(tmp_path / "other.tar.xz")
    assert list(score(other, RULES, resamples=10).scores) == ["x", "y"]
    zipped = pack(tree, tmp_path / "logs.zip").rename(tmp_path / "zip.tar.gz")
    with pytest.raises(UserError, match=r"cannot read the archive .*zip\.tar\.gz: "):
        score(zipped, RULES)


@pytest.mark.parametrize("name", ["logs.tar.xz", "logs.tar.gz", "logs.zip"])
def test_half_of_an_archive(tmp_path: Path, tree: Path, scratch: Path, name: str):
    archive = pack(tree, tmp_path / name)
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    text = refused(archive, scratch)
    assert text.startswith(f"cannot read the archive {archive}: ")


def test_damaged_bytes_in_an_archive(tmp_path: Path, tree: Path, scratch: Path):
    archive = pack(tree, tmp_path / "logs.tar.xz")
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archive.write_bytes(content)
    assert refused(archive, scratch).startswith(f"cannot read the archive {archive}: ")


@pytest.mark.parametrize("name", ["logs.tar", "logs.zip"])
@pytest.mark.parametrize("member", ["../x/out.csv", "/tmp/out.csv", "x/../../out.csv"])
def test_members_that_lead_out_are_refused(
    tmp_path: Path, scratch: Path, name: str, member: str
):
    archive = tmp_path / name
    if KINDS[name]:
        with tarfile.open(archive, "w") as members:
            members.addfile(tarfile.TarInfo(member), io.BytesIO())
    else:
        with zipfile.ZipFile(archive, "w") as members:
            members.writestr(member, "text")
    text = refused(archive, scratch)
    assert f"member {member!r} leads out of it" in text
    assert not list(tmp_path.rglob("out.csv"))


def test_a_zip_with_a_password(tmp_path: Path, tree: Path, scratch: Path):
    archive = pack(tree, tmp_path / "logs.zip")
    content = archive.read_bytes()
    # The encrypted bit of the flags, in every local and central header.
    for start, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for match in reversed(list(re.finditer(re.escape(start), content))):
            at = match.start() + offset
            content = content[:at] + bytes([content[at] | 1]) + content[at + 1 :]
    archive.write_bytes(content)
    assert "password required" in refused(archive, scratch)


def test_links_out_of_the_archive_lead_nowhere(tmp_path: Path, tree: Path):
    (tmp_path / "secret").write_text("{}")
    (tree / "x/study_0/a_jax/trial_2").symlink_to(tmp_path)
    (tree / "x/study_0/a_jax/trial_3").symlink_to("../../../../..")
    archive = pack(tree, tmp_path / "logs.tar.gz")
    with opened(archive) as folder:
        assert not list(folder.rglob("secret"))
        links = [path for path in folder.rglob("*") if path.is_symlink()]
        assert len(links) == 2
        assert not any(path.exists() for path in links)


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_links_within_the_archive_are_followed(tmp_path: Path, tree: Path, link):
    first = tree / "x/study_0/a_jax/trial_1/eval_measurements.csv"
    second = tree / "y/study_0/a_jax/trial_1/eval_measurements.csv"
    second.unlink()
    relative = os.path.relpath(first, second.parent)
    link(first if link is os.link else relative, second)
    expected = score(tree, RULES).scores
    assert expected["y"] > 0
    assert score(pack(tree, tmp_path / "logs.tar.gz"), RULES).scores == expected


@pytest.mark.parametrize("name", ["logs.tar", "logs.tar.gz", "logs.tar.xz", "logs.zip"])
def test_an_archive_cut_off_anywhere_is_refused(tmp_path: Path, tree: Path, name):
    whole = pack(tree, tmp_path / name).read_bytes()
    # A tar is padded with zeros: what is cut off of those is not missed.
    content = len(whole.rstrip(b"\0")) if name == "logs.tar" else len(whole)
    refused = 0
    for end in range(0, content, max(1, content // 60)):
        (tmp_path / name).write_bytes(whole[:end])
        with pytest.raises(UserError, match="cannot read the archive"):
            score(tmp_path / name, RULES)
        refused += 1
    assert refused > 50


@pytest.mark.parametrize("name", ["logs.tar.gz", "logs.zip"])
def test_an_archive_of_one_submission_is_ranked_under_its_name(
    tmp_path: Path, tree: Path, name: str
):
    archive = pack(tree / "x", tmp_path / name)
    assert list(score(archive, RULES).scores) == ["logs"]


def test_only_what_is_read_is_unpacked_with_its_content(tmp_path: Path, tree: Path):
    checkpoint = tree / "x/study_0/a_jax/trial_1/checkpoint.bin"
    checkpoint.write_bytes(b"\0" * 10_000)
    archive = pack(tree, tmp_path / "logs.zip")
    with opened(archive) as folder:
        sizes = {path.name: path.stat().st_size for path in folder.rglob("*.*")}
    assert sizes["checkpoint.bin"] == sizes["README.md"] == 0
    assert sizes["eval_measurements.csv"] > 0
    assert sizes["hparams.json"] > 0


def test_paths_that_lead_into_an_archive(tmp_path: Path, tree: Path):
    archive = pack(tree, tmp_path / "logs.tar.gz")
    assert archive_in(archive) == archive_in(archive / "some/folder") == archive
    assert archive_in(tree) is None
    # A folder may be called like an archive.
    named = tmp_path / "folder.zip"
    named.mkdir()
    assert archive_in(named / "x") is None
    with opened(named) as folder:
        assert folder == named
    assert without_suffix(archive / "some/folder") == tmp_path / "logs"
    assert without_suffix(named) == named
    assert default_output(archive) == tmp_path / "logs_scores"
