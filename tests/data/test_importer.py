"""Whole imports: from every format to a data set, and nothing where an import fails."""

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import DexmatchError
from data import cutting, dataset, importer
from data.columns import Columns
from data.importer import import_pairs
from data.readers import FORMATS

POKEMON = Path(__file__).parents[3] / "shared" / "data" / "pokemon"
REPOSITORY = Path(__file__).parents[2]


def quiet(_: str) -> None:
    pass


def write_table(folder, rows, name="captions.csv"):
    path = folder / name
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if name.endswith(".tsv") else ",")
        writer.writerow(["image", "caption", "colour", "weight"])
        writer.writerows(rows)
    return path


def write_source(folder, kind):
    """The same six pairs in any format, two of them on one picture; returns the source."""
    rows = [(f"{n}.png", f"picture {n}", "red" if n % 2 else "blue", n) for n in range(5)]
    rows.append(("0.png", "nought", "blue", 0))
    keys = ("image", "caption", "colour", "weight")
    records = [dict(zip(keys, row, strict=True)) for row in rows]
    if kind in ("csv", "tsv"):
        return write_table(folder, rows, f"captions.{kind}")
    if kind == "jsonl":
        path = folder / "captions.jsonl"
        path.write_text("\n".join(json.dumps(record) for record in records))
        return path
    if kind == "imagefolder":
        write_table(folder, rows, "metadata.csv")
        return folder
    if kind == "coco":
        images = [{"id": n, "file_name": f"{n}.png"} for n in range(5)]
        annotations = [
            {"image_id": int(r["image"][0]), **{k: r[k] for k in keys[1:]}} for r in records
        ]
        path = folder / "captions_x.json"
        path.write_text(json.dumps({"images": images, "annotations": annotations}))
        return path
    for record in records:
        content = (folder / record["image"]).read_bytes()
        record["image"] = {"bytes": content, "path": record["image"]}
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(records), folder / "0.parquet")
        return folder / "0.parquet"
    with tarfile.open(folder / "0.tar", "w") as archive:
        for number, record in enumerate(records):
            picture = record.pop("image")["bytes"]
            for suffix, content in (("png", picture), ("json", json.dumps(record).encode())):
                info = tarfile.TarInfo(f"{number}.{suffix}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return folder / "0.tar"


@pytest.mark.usefixtures("in_process")
class TestEveryFormat:
    @pytest.mark.parametrize("kind", FORMATS)
    def test_gives_the_same_pairs(self, kind, images, tmp_path, read_pairs):
        imported = import_pairs(write_source(images, kind), tmp_path / "out", say=quiet)
        pairs = read_pairs(imported)
        assert imported.source.format == kind
        assert (imported.read, imported.imported, imported.rejected) == (6, 6, 0)
        assert (imported.images, imported.groups) == (5, 5)
        assert [pair["caption"] for pair in pairs] == [
            *(f"picture {n}" for n in range(5)),
            "nought",
        ]
        assert [pair["colour"] for pair in pairs] == ["blue", "red", "blue", "red", "blue", "blue"]
        assert [pair["weight"] for pair in pairs] == [0, 1, 2, 3, 4, 0]
        assert (
            pairs[0]["image"] == [(images / "0.png").read_bytes()]
            or pairs[0]["image"] == (images / "0.png").read_bytes()
        )
        assert {(pair["image_height"], pair["image_width"]) for pair in pairs} == {(20, 33)}
        assert pairs[0]["group"] == pairs[5]["group"] != pairs[1]["group"]
        assert len({pair["id"] for pair in pairs}) == 6
        if kind != "webdataset":
            assert (pairs[0]["id"], pairs[5]["id"]) == ("0.png", "0.png#2")

    def test_imagefolders_of_splits_become_one_set(self, tmp_path, encode, read_pairs):
        source = tmp_path / "source"
        for split, width in (("train", 33), ("test", 34)):
            (source / split).mkdir(parents=True)
            (source / split / "0.png").write_bytes(encode(size=(width, 20)))
            write_table(source / split, [("0.png", split, "red", 1)], "metadata.csv")
        pairs = read_pairs(import_pairs(source, tmp_path / "both", say=quiet))
        found = [(pair["id"], pair["caption"], pair["image_width"]) for pair in pairs]
        assert found == [("test/0.png", "test", 34), ("train/0.png", "train", 33)]
        # A picture folder that is named holds the pictures of all.
        pictures = source / "train"
        pairs = read_pairs(import_pairs(source, tmp_path / "c", image_folder=pictures, say=quiet))
        assert [(pair["id"], pair["image_width"]) for pair in pairs] == [
            ("0.png", 33),
            ("0.png#2", 33),
        ]

    def test_describes_the_features(self, images, tmp_path):
        imported = import_pairs(write_source(images, "csv"), tmp_path / "out", say=quiet)
        types = {feature.name: feature.type for feature in imported.features}
        assert types == {
            "image": "bytes",
            "caption": "bytes",
            "id": "bytes",
            "group": "bytes",
            "image_height": "int64",
            "image_width": "int64",
            "colour": "bytes",
            "weight": "int64",
        }
        colour = imported.low_cardinality_columns()[0]
        assert [(value.value, value.count) for value in colour.values] == [("blue", 4), ("red", 2)]
        assert imported.caption_words.maximum == 2
        assert imported.source.columns == {"image": "image", "caption": "caption"}


@pytest.mark.usefixtures("in_process")
class TestRejects:
    def bad_source(self, images, encode):
        (images / "text.png").write_bytes(b"no picture")
        (images / "cut.png").write_bytes(encode(size=(200, 200))[:400])
        (images / "dot.png").write_bytes(encode(size=(1, 1)))
        (images / "really.jpg").write_bytes(encode())
        names = ["text.png", "cut.png", "dot.png", "missing.png", "../x.png", "really.jpg"]
        rows = [(name, "x", "red", 1) for name in names]
        rows += [("0.png", " ", "red", 1), ("1.png", "\udcff", "red", 1), ("2.png", "x")]
        rows += [(f"{n}.png", "fine", "red", 1) for n in range(10)]
        return write_table(images, rows)

    def test_account_for_every_row(self, images, tmp_path, encode):
        source = self.bad_source(images, encode)
        imported = import_pairs(source, tmp_path / "out", max_rejects="50%", say=quiet)
        assert (imported.read, imported.imported, imported.rejected) == (19, 11, 8)
        with open(imported.path / "rejects.csv", newline="", encoding="utf-8") as file:
            rejected = list(csv.DictReader(file))
        assert [(row["row"], row["image"], row["reason"]) for row in rejected] == [
            ("2", "text.png", "not_an_image"),
            ("3", "cut.png", "corrupt_image"),
            ("4", "dot.png", "too_small"),
            ("5", "missing.png", "file_not_found"),
            ("6", "../x.png", "outside_folder"),
            ("8", "0.png", "empty_caption"),
            ("9", "1.png", "not_utf8"),
            ("10", "", "field_count"),
        ]
        assert sum(imported.rejected_by_reason.values()) == 8

    @pytest.mark.parametrize("limit", ["5%", "0.4", "7", "0"])
    def test_too_many_fail_the_import(self, limit, images, tmp_path, encode):
        said = []
        out = tmp_path / "data" / "out"
        with pytest.raises(DexmatchError, match="8 of 19 rows rejected") as error:
            import_pairs(self.bad_source(images, encode), out, max_rejects=limit, say=said.append)
        kept = out.with_name("out-rejects.csv")
        assert "\n" not in str(error.value)
        assert str(kept) in str(error.value)
        assert [path.name for path in out.parent.iterdir()] == [kept.name]
        assert "too_small: 1 rows" in said
        assert any("row 5 (missing.png)" in line for line in said)

    @pytest.mark.parametrize("limit", ["43%", "0.43", "8", "100%"])
    def test_few_enough_do_not(self, limit, images, tmp_path, encode):
        source = self.bad_source(images, encode)
        assert import_pairs(source, tmp_path / "out", max_rejects=limit, say=quiet).rejected == 8

    @pytest.mark.parametrize("limit", ["", "x", "-1", "101%", "1.5", "nan%"])
    def test_a_wrong_limit_is_found_before_the_import(self, limit, tmp_path):
        with pytest.raises(DexmatchError, match="--max-rejects"):
            import_pairs(tmp_path, tmp_path / "out", max_rejects=limit)

    def test_all_of_them_is_no_data_set(self, images, tmp_path):
        source = write_table(images, [("x.png", "x", "y", 1)])
        with pytest.raises(DexmatchError, match="1 of 1 rows rejected"):
            import_pairs(source, tmp_path / "out", max_rejects="100%", say=quiet)
        assert not (tmp_path / "out").exists()

    def test_an_empty_source(self, images, tmp_path):
        with pytest.raises(DexmatchError, match="no records"):
            import_pairs(write_table(images, []), tmp_path / "out", say=quiet)


@pytest.mark.usefixtures("in_process")
class TestOutput:
    def test_is_there_only_when_whole(self, images, tmp_path, monkeypatch):
        def fail(*_: object) -> None:
            raise RuntimeError("disk on fire")

        monkeypatch.setattr(importer, "describe", fail)
        out = tmp_path / "sets" / "out"
        with pytest.raises(RuntimeError):
            import_pairs(write_source(images, "csv"), out, say=quiet)
        assert list(out.parent.iterdir()) == []

    def test_is_not_replaced_unasked(self, images, tmp_path):
        source = write_source(images, "csv")
        first = import_pairs(source, tmp_path / "out", say=quiet)
        with pytest.raises(DexmatchError, match="--overwrite"):
            import_pairs(source, tmp_path / "out", say=quiet)
        assert dataset.load(tmp_path / "out") == first
        again = import_pairs(source, tmp_path / "out", overwrite=True, say=quiet)
        assert again == first
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]

    def test_a_failed_overwrite_keeps_the_old_one(self, images, tmp_path):
        first = import_pairs(write_source(images, "csv"), tmp_path / "out", say=quiet)
        broken = write_table(images, [("x.png", "x", "y", 1)], "broken.csv")
        with pytest.raises(DexmatchError):
            import_pairs(broken, tmp_path / "out", overwrite=True, say=quiet)
        assert dataset.load(tmp_path / "out") == first

    def test_holds_nothing_of_this_machine(self, images, tmp_path):
        imported = import_pairs(write_source(images, "csv"), tmp_path / "out", say=quiet)
        assert str(tmp_path) not in (imported.path / "dataset.json").read_text()

    def test_is_cut_into_shards(self, images, tmp_path, monkeypatch):
        monkeypatch.setattr(cutting, "ROWS_PER_SHARD", 4)
        imported = import_pairs(write_source(images, "csv"), tmp_path / "out", say=quiet)
        assert [(shard.name, shard.examples) for shard in imported.files] == [
            ("pairs-00000-of-00002.tfrecord.gz", 4),
            ("pairs-00001-of-00002.tfrecord.gz", 2),
        ]
        for shard in imported.files:
            content = (imported.path / shard.name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == shard.sha256
            assert content[4:8] == bytes(4), "gzip must not hold the time"

    def test_shards_of_embedded_pictures_are_limited_in_bytes(self, images, tmp_path, monkeypatch):
        monkeypatch.setattr(cutting, "EMBEDDED_BYTES_PER_SHARD", 1)
        imported = import_pairs(write_source(images, "parquet"), tmp_path / "out", say=quiet)
        assert len(imported.files) == 6


@pytest.mark.usefixtures("in_process")
class TestUnreadWords:
    def source(self, images):
        captions = ["fine"] * 7 + ["word " * 60, "word " * 49, "!?"]
        rows = [(f"{n}.png", caption, "red", 1) for n, caption in enumerate(captions)]
        return write_table(images, rows)

    def test_captions_that_will_be_cut_are_told(self, images, tmp_path):
        said = []
        import_pairs(self.source(images), tmp_path / "out", max_rejects="1", say=said.append)
        (line,) = (line for line in said if "cut" in line)
        assert "2 of 9 captions have more than 48 words" in line
        assert "'7.png' (60), '8.png' (49)" in line
        assert "caption.max_tokens" in line

    def test_captions_without_a_word_are_rejected_or_kept(self, images, tmp_path):
        source, said = self.source(images), []
        with pytest.raises(DexmatchError, match="1 of 10 rows rejected"):
            import_pairs(source, tmp_path / "out", say=said.append)
        assert "wordless_caption: 1 rows" in said
        assert any("--keep-wordless-captions" in line for line in said)
        said.clear()
        kept = import_pairs(source, tmp_path / "out", keep_wordless_captions=True, say=said.append)
        assert (kept.imported, kept.caption_words.minimum) == (10, 0)
        assert any("1 of 10 captions hold no word" in line for line in said)


@pytest.mark.usefixtures("in_process")
class TestLinks:
    def as_downloaded(self, images, tmp_path):
        """As the Hugging Face Hub's client stores what it downloads: names are links to blobs."""
        write_table(images, [(f"{n}.png", f"picture {n}", "red", n) for n in range(10)])
        snapshot, blobs = tmp_path / "hub" / "snapshots" / "0f3a", tmp_path / "hub" / "blobs"
        snapshot.mkdir(parents=True)
        blobs.mkdir()
        for path in images.iterdir():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            (blobs / digest).write_bytes(path.read_bytes())
            (snapshot / path.name).symlink_to(f"../../blobs/{digest}")
        return snapshot

    def test_a_download_whose_files_are_links(self, images, tmp_path):
        snapshot = self.as_downloaded(images, tmp_path)
        imported = import_pairs(snapshot / "captions.csv", tmp_path / "out", say=quiet)
        assert (imported.imported, imported.rejected) == (10, 0)
        assert imported.source.name == "captions.csv"

    def test_such_a_download_with_a_metadata_file(self, images, tmp_path):
        snapshot = self.as_downloaded(images, tmp_path)
        (snapshot / "captions.csv").rename(snapshot / "metadata.csv")
        imported = import_pairs(snapshot, tmp_path / "out", say=quiet)
        assert (imported.imported, imported.rejected) == (10, 0)

    def test_a_linked_folder(self, images, tmp_path):
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / "images").symlink_to(images)
        source = write_table(tmp_path / "set", [(f"images/{n}.png", "x", 1, 1) for n in range(10)])
        assert import_pairs(source, tmp_path / "out", say=quiet).imported == 10

    def test_a_path_to_elsewhere_needs_the_option(self, images, tmp_path):
        (tmp_path / "set").mkdir()
        rows = [("../source/0.png", "x", 1, 1), (str(images / "1.png"), "y", 1, 1)]
        source = write_table(tmp_path / "set", rows)
        said = []
        with pytest.raises(DexmatchError, match="2 of 2 rows rejected"):
            import_pairs(source, tmp_path / "out", say=said.append)
        assert sum("--allow-outside-paths" in line for line in said) == 2
        imported = import_pairs(source, tmp_path / "out", allow_outside_paths=True, say=quiet)
        assert imported.imported == 2


def test_guesses_are_told(images, tmp_path, in_process):
    said = []
    import_pairs(write_source(images, "csv"), tmp_path / "out", say=said.append)
    assert said[:3] == [
        "captions.csv: format csv",
        "image: column 'image'",
        "caption: column 'caption'",
    ]
    assert "--group-column" in said[3]


@pytest.mark.slow
def test_no_number_of_workers_changes_a_byte(images, tmp_path):
    rows = [(f"{n % 10}.png", f"caption {n}", n % 3, n / 2) for n in range(1200)]
    source = write_table(images, [*rows, ("missing.png", "x", 1, 1)])
    one, two = (
        import_pairs(source, tmp_path / f"{number}", num_workers=number, say=quiet)
        for number in (1, 2)
    )
    assert one.imported == 1200
    names = sorted(path.name for path in one.path.iterdir())
    assert names == sorted(path.name for path in two.path.iterdir())
    for name in names:
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes()


@pytest.mark.slow
def test_a_full_disk_is_told_and_leaves_nothing_behind(images, encode, mount_disk):
    (images / "0.png").write_bytes(encode(size=(600, 400)))
    small = mount_disk("32k")
    with pytest.raises(DexmatchError, match=f"^{small}.*: No space left on device, .* MB are free"):
        import_pairs(write_source(images, "csv"), small / "out", say=quiet, num_workers=1)
    assert list(small.iterdir()) == []


SCRIPT = """
import sys
from data.importer import import_pairs
if __name__ == "__main__":
    import_pairs(sys.argv[1], sys.argv[2], num_workers=2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_stopped_half_way(kind, images, tmp_path, in_process):
    rows = [(f"{n % 10}.png", f"caption {n}", 1, 1) for n in range(40_000)]
    source, out = write_table(images, rows), tmp_path / "sets" / "out"
    command = [sys.executable, "-c", SCRIPT, str(source), str(out)]
    with open(tmp_path / "stderr", "wb") as stderr:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stderr=stderr,
            start_new_session=True,
            # Who runs the tests in the background ignores it, and so would every child.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    workers = wait_for_shards(process, out.parent)
    if kind == signal.SIGINT:
        os.killpg(process.pid, kind)  # As a terminal does: to every process of the group.
    else:
        process.send_signal(kind)
    assert process.wait(10) != 0
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive
    assert not out.exists()
    if kind == signal.SIGINT:
        assert list(out.parent.iterdir()) == []
        assert (tmp_path / "stderr").read_text().count("Traceback") == 1
    imported = import_pairs(write_source(images, "csv"), out, say=quiet)
    assert imported.imported == 6
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def wait_for_shards(process, folder):
    """Waits until workers write; gives the workers."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if len(list(folder.glob(".out.importing/0*"))) >= 2:
            return psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.05)
    raise AssertionError("no shard was begun")


@pytest.mark.slow
@pytest.mark.skipif(not POKEMON.is_dir(), reason="the shared data is not here")
def test_pokemon(tmp_path):
    columns = Columns(group="evolution_chain")
    imported = import_pairs(POKEMON, tmp_path / "out", columns=columns, say=quiet)
    assert (imported.read, imported.imported, imported.rejected) == (781, 781, 0)
    assert imported.source.columns["group"] == "evolution_chain"
    assert imported.groups == 406
    sliceable = {feature.name for feature in imported.low_cardinality_columns()}
    assert {"color", "primary_type", "habitat", "generation", "legendary"} <= sliceable
    assert "name" not in sliceable
