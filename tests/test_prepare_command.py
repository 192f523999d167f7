"""MNIST, and the command line of `algoperf prepare`."""

import functools
import hashlib

import image_files
import mnist_files
import pytest

from algoperf.cli.main import main
from algoperf.facts import UserError
from algoperf.prepare import manifest as manifests
from algoperf.prepare.plan import RawFile
from algoperf.prepare.run import prepare
from workloads import preparations
from workloads.catalog import CATALOG
from workloads.files import require
from workloads.mnist import data as mnist
from workloads.mnist.prepare import PLAIN, ZIPPED
from workloads.mnist.prepare import preparation as mnist_preparation


def quietly(preparation, raw_dir, data_dir):
    prepare(preparation, raw_dir, data_dir, lambda line: None)


def zipped_files(folder):
    """The raw files with the checksums of what is in `folder`."""
    return tuple(
        RawFile(
            file.name,
            len(content),
            f"sha256:{hashlib.sha256(content).hexdigest()}",
            url=file.url,
        )
        for file in ZIPPED
        for content in [(folder / file.name).read_bytes()]
    )


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_is_copied_and_read(tmp_path, zipped):
    raw = mnist_files.write_idx(tmp_path / "raw", zipped=zipped)
    preparation = mnist_preparation(zipped_files(raw) if zipped else ZIPPED)
    quietly(preparation, raw, tmp_path)
    assert image_files.files_of(tmp_path / "mnist") == image_files.files_of(raw)
    arrays = mnist.load(tmp_path / "mnist")
    assert {split: len(a["targets"]) for split, a in arrays.items()} == {
        "train": 50_000,
        "validation": 10_000,
        "test": 10_000,
    }


def test_mnist_in_its_place_is_taken(tmp_path):
    mnist_files.write_idx(tmp_path / "mnist")
    said = []
    prepare(mnist_preparation(), tmp_path / "raw", tmp_path, said.append)
    assert any("0 files to make" in line and "4 to take" in line for line in said)


def test_mnist_of_tfds_in_its_place_is_taken(tmp_path):
    folder = mnist_files.write_tfds(tmp_path / "mnist")
    before = image_files.files_of(folder)
    quietly(mnist_preparation(), tmp_path / "raw", tmp_path)
    assert image_files.files_of(folder) == before
    files = manifests.load(folder).files.values()
    assert sorted(entry.records for entry in files) == [0, 0, 10_000, 60_000]


@pytest.mark.parametrize("count", [59_999, 10_000])
def test_an_incomplete_mnist_file_is_refused(tmp_path, count):
    raw = mnist_files.write_idx(tmp_path / "raw")
    content = mnist_files.idx(mnist_files.labels(count))
    (raw / PLAIN[1].name).write_bytes(content)
    text = rf"train-labels-idx1-ubyte.* has the shape \({count},\), and should have"
    with pytest.raises(UserError, match=text):
        quietly(mnist_preparation(), raw, tmp_path)


# The command line.


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    """Runs `algoperf prepare` on tiny data sets; returns code, output and errors."""
    small = {"imagenet": image_files.imagenet}

    def import_module(name):
        folder = {home: f for f, home in preparations._HOME.items()}[name]
        return type("Module", (), {"preparation": staticmethod(small[folder])})

    monkeypatch.setattr(preparations, "import_module", import_module)

    def run(*flags):
        code = main(["prepare", *flags])
        return code, *capsys.readouterr()

    return functools.partial(run, f"--data_dir={tmp_path / 'data'}")


def test_the_command_prepares_and_verifies(cli, tmp_path):
    raw = image_files.write_imagenet(tmp_path / "raw")
    code, output, errors = cli("--workload=imagenet", f"--raw_dir={raw}")
    assert (code, errors) == (0, "")
    assert "ImageNet 2012 and ImageNet-V2 -> " in output
    assert "imagenet2012: 3 files, 18 train, 7 validation" in output
    assert output.endswith("imagenet is prepared.\n")
    code, output, _ = cli("--workload=imagenet", "--verify")
    assert (code, output) == (0, f"{tmp_path}/data/imagenet: nothing is damaged\n")
    path = next((tmp_path / "data").rglob("*train*-00001-of*"))
    path.write_bytes(b"")
    code, output, _ = cli("--workload=imagenet", "--verify")
    assert code == 1
    assert "DAMAGED  imagenet2012/5.1.0/imagenet2012-train.array_record-00001" in output
    assert "1 damaged. To make only these again: algoperf prepare" in output
    code, output, _ = cli("--workload=imagenet", f"--raw_dir={raw}")
    assert "1 file to make" in output


def test_missing_raw_files_are_one_message(cli, tmp_path):
    code, _, errors = cli("--workload=imagenet")
    assert code == 2
    assert errors.startswith(
        "algoperf: the files to make imagenet2012 from are not in "
    )
    assert f"{tmp_path}/data/raw" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ([], "--workload is missing"),
        (["--workload=imagenet", "--data_dir="], "--data_dir is missing"),
        (["--workload=digits"], "nothing to prepare for digits: its data is bundled"),
        (
            ["--workload=imagnet"],
            "no workload 'imagnet'; did you mean imagenet",
        ),
        (["--workload=imagenet", "--raw_dir=/no"], "--raw_dir=/no is no folder"),
        (["--workload=imagenet", "--verify"], "has no prepare.json"),
    ],
)
def test_mistakes_are_named(cli, flags, text):
    code, _, errors = cli(*flags)
    assert code == 2
    assert text in errors


def test_what_a_workload_reads_is_found_by_its_name():
    assert preparations.preparation_of("mnist").folder == "mnist"
    for name in ("cifar10", "cifar"):
        assert preparations.preparation_of(name).folder == "cifar10"
    for name in ("imagenet", "imagenet_resnet", "imagenet_vit_glu"):
        assert preparations.preparation_of(name).folder == "imagenet"


@pytest.fixture
def unfinished(tmp_path):
    """A data folder whose MNIST is there, but by its manifest not complete."""
    quietly(mnist_preparation(), mnist_files.write_idx(tmp_path / "raw"), tmp_path)
    manifest = tmp_path / "mnist/prepare.json"
    text = manifest.read_text().replace('"complete": true', '"complete": false')
    manifest.write_text(text)
    return tmp_path


def mnist_is(data_dir, capsys) -> str:
    """What `algoperf list` says of MNIST's data."""
    assert main(["list", "--workloads", f"--data_dir={data_dir}"]) == 0
    rows = capsys.readouterr().out.splitlines()
    return next(row for row in rows if row.startswith("mnist ")).split()[-1]


def test_list_calls_an_unfinished_preparation_partial(unfinished, capsys):
    manifest = unfinished / "mnist/prepare.json"
    assert mnist_is(unfinished, capsys) == "partial"
    manifest.write_text("{")
    assert mnist_is(unfinished, capsys) == "partial"
    manifest.unlink()
    assert mnist_is(unfinished, capsys) == "prepared"
    quietly(mnist_preparation(), unfinished / "raw", unfinished)
    assert mnist_is(unfinished, capsys) == "prepared"


def test_a_run_refuses_data_of_an_unfinished_preparation(unfinished):
    with pytest.raises(UserError) as error:
        require(CATALOG["mnist"], unfinished)
    assert f"the preparation of {unfinished}/mnist" in str(error.value)
    assert (
        f"To go on: algoperf prepare --workload=mnist --data_dir={unfinished}."
    ) in str(error.value)


def test_list_and_run_notice_a_file_that_is_gone(tmp_path, capsys):
    quietly(mnist_preparation(), mnist_files.write_idx(tmp_path / "raw"), tmp_path)
    assert mnist_is(tmp_path, capsys) == "prepared"
    path = next((tmp_path / "mnist").glob("t10k-labels*"))
    path.write_bytes(path.read_bytes()[:-1])
    assert mnist_is(tmp_path, capsys) == "partial"
    path.unlink()
    assert mnist_is(tmp_path, capsys) == "partial"
    with pytest.raises(UserError, match="some of its files are damaged or gone"):
        require(CATALOG["mnist"], tmp_path)


def test_list_and_run_notice_a_shard_that_is_gone(tmp_path, capsys):
    folder = tmp_path / "mnist/3.0.1"
    folder.mkdir(parents=True)
    for name in (
        "dataset_info.json",
        "mnist-test.array_record-00000-of-00001",
        "mnist-train.array_record-00000-of-00003",
        "mnist-train.array_record-00002-of-00003",
    ):
        (folder / name).touch()
    assert mnist_is(tmp_path, capsys) == "partial"
    with pytest.raises(UserError) as error:
        require(CATALOG["mnist"], tmp_path)
    assert (
        "missing: 3.0.1/mnist-train.array_record* (2 of 3 shards). To get it:"
        in str(error.value)
    )
    (folder / "mnist-train.array_record-00001-of-00003").touch()
    assert mnist_is(tmp_path, capsys) == "prepared"


def test_list_wants_a_folder_that_is_there(tmp_path, capsys, monkeypatch):
    assert main(["list", f"--data_dir={tmp_path}/no"]) == 2
    assert f"--data_dir={tmp_path}/no is no folder." in capsys.readouterr().err
    quietly(mnist_preparation(), mnist_files.write_idx(tmp_path / "raw"), tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    assert mnist_is(f"~/{tmp_path.name}", capsys) == "prepared"


def test_the_folder_of_a_data_set_in_place_of_its_parent_is_named(tmp_path):
    quietly(mnist_preparation(), mnist_files.write_idx(tmp_path / "raw"), tmp_path)
    with pytest.raises(UserError) as error:
        require(CATALOG["mnist"], tmp_path / "mnist")
    assert str(error.value) == (
        f"--data_dir={tmp_path}/mnist is the data set itself; give the folder it is "
        f"in: --data_dir={tmp_path}."
    )
