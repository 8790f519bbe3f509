"""An import by Beam jobs writes what the local pool writes."""

import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import DexmatchError
from data import beam_pool, cutting, parts
from data.columns import Columns
from data.importer import import_pairs
from data.readers import coco, parquet, tables

IN_MEMORY = ("--runner=FnApiRunner",)
RECORDS_PER_PART = 4
KEYS = ("image", "caption", "id", "family", "wrong", "colour")
ROWS = [
    ("0.png", "one", "a", "f", ["a dog", "!"], "red"),
    ("0.png", "two", "a", "f", [], "red"),  # An id that is taken.
    ("0.png", " ", "b", "f", [], "red"),
    ("missing.png", "no file", "c", "g", [], "blue"),
    ("bad.png", "no picture", "d", "g", [], "blue"),
    ("1.png", "?!", "e", None, [], "blue"),
    ("2.png", None, "f", None, [], "3"),
    ("3.png", "an id again, far away", "a", None, [], "3"),
    ("1.png", 'a row, quoted "well"\nover two lines', None, None, [], "3"),
    ("1.png", "1.png#2 is taken below", None, None, [], "3"),
    ("4.png", "explicit", "1.png#3", None, [], "3"),
    ("1.png", "third", None, None, [], "3"),
    ("1.png", "é", None, "h", ["x"], "3"),
    ("../secret.png", "outside", None, None, [], "3"),
    *((f"{number % 10}.png", f"number {number}", None, None, [], "3") for number in range(10)),
]


def quiet(_: str) -> None:
    pass


def records():
    return [{**dict(zip(KEYS, row, strict=True)), "n": n} for n, row in enumerate(ROWS)]


def write_csv(folder, name="captions.csv"):
    mark = "\t" if name.endswith(".tsv") else ","
    lines = [mark.join((*KEYS, "n"))]
    for record in records():
        cells = {**record, "wrong": "|".join(record["wrong"])}
        lines.append(mark.join(_quoted(cells[key]) for key in (*KEYS, "n")))
    lines[4:4] = ["", "short", f'5.png{mark}"never closed']
    lines.append(f"5.png{mark}\udcff")
    path = folder / name
    path.write_bytes("\ufeff".encode() + "\r\n".join(lines).encode(errors="surrogateescape"))
    return path


def _quoted(value):
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set('",\n') else text


def write_jsonl(folder, name="captions.jsonl"):
    lines = [json.dumps(record).encode() for record in records()]
    several = {"image": "5.png", "caption": ["five", "", "six"], "id": "several"}
    lines[3:3] = [b"", b"{", b"\xff", b"[]", json.dumps(several).encode()]
    (folder / name).write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines))
    return folder / name


def write_imagefolder(folder):
    for part in ("test", "train"):
        (folder / part).mkdir()
        write_jsonl(folder / part, "metadata.jsonl")
        for picture in folder.glob("*.png"):
            (folder / part / picture.name).write_bytes(picture.read_bytes())
    return folder


def write_coco(folder):
    images = [{"id": n, "file_name": name} for n, name in enumerate(sorted({r[0] for r in ROWS}))]
    numbers = {image["file_name"]: image["id"] for image in images}
    annotations = [{**each, "image_id": numbers[each.pop("image")]} for each in records()]
    annotations[2:2] = [{"image_id": 99}, None]
    images.append({"id": "bare", "file_name": "6.png"})
    path = folder / "captions.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def _embedded(folder, record):
    path = folder / record["image"]
    return path.read_bytes() if path.is_file() else None


def write_parquet(folder):
    """Pictures without a name, in several files and row groups."""
    rows = [{**each, "image": _embedded(folder, each)} for each in records()]
    (folder / "parts").mkdir()
    for number in range(3):
        table = pa.Table.from_pylist(rows[number::3] * 2)
        pq.write_table(table, folder / "parts" / f"{number}.parquet", row_group_size=3)
    return folder / "parts"


def write_webdataset(folder):
    for number in range(3):
        with tarfile.open(folder / f"{number}.tar", "w") as archive:
            for row, record in enumerate(records()[number::3]):
                picture = _embedded(folder, record) or b""
                members = {"png": picture, "json": json.dumps(record).encode(), "xml": b"?"}
                for suffix, content in members.items():
                    info = tarfile.TarInfo(f"{number}{row}.{suffix}")
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
    return f"{folder}/{{0..2}}.tar"


SOURCES = {
    "csv": write_csv,
    "tsv": lambda folder: write_csv(folder, "captions.tsv"),
    "jsonl": write_jsonl,
    "imagefolder": write_imagefolder,
    "coco": write_coco,
    "parquet": write_parquet,
    "webdataset": write_webdataset,
}


@pytest.fixture
def small_parts(monkeypatch):
    for module in (tables, coco, parquet):
        monkeypatch.setattr(module, "RECORDS_PER_PART", RECORDS_PER_PART)
    monkeypatch.setattr(cutting, "ROWS_PER_SHARD", 5)
    monkeypatch.setattr(cutting, "EMBEDDED_BYTES_PER_SHARD", 5_000)


@pytest.fixture
def import_both(images, tmp_path, in_process):
    """Imports from `images` by the local pool and by Beam; gives both, and what they said."""
    (images / "bad.png").write_bytes(b"no picture")

    def both(source, columns):
        sets, said = [], []
        for name, arguments in (("local", None), ("beam", IN_MEMORY)):
            said.append([])
            imported = import_pairs(
                source,
                tmp_path / "sets" / name,
                columns=columns,
                max_rejects="90%",
                beam_options=arguments and (lambda _, chosen=arguments: chosen),
                say=said[-1].append,
            )
            sets.append(imported)
        assert said[0] == said[1]
        assert sorted(path.name for path in (tmp_path / "sets").iterdir()) == ["beam", "local"]
        return sets

    return both


def content(imported):
    return {path.name: path.read_bytes() for path in imported.path.iterdir()}


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("kind", SOURCES)
def test_every_format_gives_the_bytes_of_the_local_pool(kind, images, import_both):
    columns = Columns(
        id="annotation_id" if kind == "coco" else "id", group="family", hard_caption="wrong"
    )
    local, beam = import_both(SOURCES[kind](images), columns)
    assert content(beam) == content(local)
    assert len(local.files) > 3
    assert {"duplicate_id", "wordless_caption", "empty_caption"} < set(local.rejected_by_reason)


@pytest.mark.usefixtures("small_parts")
def test_a_column_id_that_repeats_in_another_part_names_no_pairs(images, import_both):
    records = [
        {"image": f"{n}.png", "caption": f"number {n}", "id": n % (2 * RECORDS_PER_PART)}
        for n in range(10)
    ]
    source = images / "captions.jsonl"
    source.write_text("\n".join(map(json.dumps, records)))
    local, beam = import_both(source, Columns())
    assert content(beam) == content(local)
    assert "id" not in beam.source.columns


@pytest.mark.slow
def test_workers_of_their_own(images, tmp_path, monkeypatch, foreign_folder):
    """They import nothing of the folder where the import was started."""
    write_csv(images)
    (tmp_path / "tasks").mkdir()
    monkeypatch.chdir(images)
    place = parts.Place("captions.csv", "csv", None).absolute()
    tasks = [parts.SurveyTask(place, part) for part in place.open().parts() * 3]
    monkeypatch.chdir(foreign_folder)
    arguments = (*IN_MEMORY, "--direct_running_mode=multi_processing", "--direct_num_workers=2")
    outcomes = beam_pool.run_in_order(
        parts.survey_part, tasks, tmp_path / "tasks", arguments, "Looking"
    )
    surveys = [found for found, _ in outcomes]
    assert len(surveys) == 3
    assert surveys[0].records > len(ROWS)
    assert surveys == [parts.survey_part(tasks[0])[0]] * 3


def import_by_beam(source, out):
    return import_pairs(source, out, max_rejects="90%", beam_options=lambda _: IN_MEMORY, say=quiet)


class TestFailures:
    @pytest.mark.parametrize(
        ("option", "reason"),
        [("--runner=Foo", "runner: Foo"), ("--direct_num_workers=x", "invalid int value: 'x'")],
    )
    def test_options_that_beam_does_not_take(self, option, reason, images, tmp_path):
        with pytest.raises(DexmatchError, match=f"^Beam takes other options: .*{reason}"):
            import_pairs(
                write_csv(images), tmp_path / "out", beam_options=lambda _: [option], say=quiet
            )

    def test_a_source_that_is_broken_half_way(self, images, tmp_path):
        source = write_webdataset(images)
        (images / "1.tar").write_bytes((images / "1.tar").read_bytes()[:3000])
        with pytest.raises(DexmatchError, match=r"1\.tar: broken tar file") as error:
            import_by_beam(source, tmp_path / "sets" / "out")
        assert "\n" not in str(error.value)
        assert list((tmp_path / "sets").iterdir()) == []

    def test_a_job_that_fails_leaves_nothing_and_can_be_run_again(
        self, images, tmp_path, monkeypatch
    ):
        source, out = write_csv(images), tmp_path / "sets" / "out"

        def fail(_: object) -> None:
            raise RuntimeError("a worker on fire")

        with monkeypatch.context() as patch:
            patch.setattr("data.shard_writer.write", fail)
            with pytest.raises(RuntimeError, match="on fire"):
                import_by_beam(source, out)
        assert list(out.parent.iterdir()) == []
        # What a process leaves that is killed, with a worker that goes on.
        left = out.with_name(".out.importing") / "job-0"
        left.mkdir(parents=True)
        (left / "00000").touch()
        assert import_by_beam(source, out).imported
        assert [path.name for path in out.parent.iterdir()] == ["out"]

    def test_workers_that_see_other_folders(self, images, tmp_path, monkeypatch):
        monkeypatch.setattr(beam_pool, "work", lambda *_: None)
        with pytest.raises(DexmatchError, match="workers did not write there.*the same folders"):
            import_by_beam(write_csv(images), tmp_path / "out")

    def test_a_worker_that_does_not_see_the_pictures(self, images, tmp_path):
        place = parts.Place(str(write_csv(images)), "csv", None).absolute()
        task = parts.SurveyTask(place, None)
        assert parts.survey_part(task)[0].records
        images.rename(tmp_path / "elsewhere")
        parts._opened_once.cache_clear()
        with pytest.raises(DexmatchError, match="source: a worker finds no such folder"):
            parts.survey_part(task)

    def test_a_source_that_changes_between_the_jobs(self, images, tmp_path, monkeypatch):
        source, outline = write_csv(images), parts.outline_part

        def cut_afterwards(task):
            told = outline(task)
            source.write_bytes(source.read_bytes().rpartition(b"\r\n")[0])
            return told

        monkeypatch.setattr("data.beam_import.outline_part", cut_afterwards)
        with pytest.raises(DexmatchError, match="was changed while it was imported"):
            import_by_beam(source, tmp_path / "out")

    def test_too_many_rejects(self, images, tmp_path):
        out = tmp_path / "sets" / "out"
        with pytest.raises(DexmatchError, match="rows rejected, 1 allowed"):
            import_pairs(
                write_csv(images), out, max_rejects="1", beam_options=lambda _: IN_MEMORY, say=quiet
            )
        assert [path.name for path in out.parent.iterdir()] == ["out-rejects.csv"]
