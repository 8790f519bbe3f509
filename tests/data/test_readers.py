"""Every format, from a real file to records."""

import csv
import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DexmatchError
from data import readers
from data.records import EmbeddedImage, Reason, Record, Reject
from data.rows import as_text


def read(source, format_name=None, with_images=True):
    """All records of a source, its format guessed."""
    if format_name is None:
        format_name, source = readers.locate(str(source))
    return list(readers.open_reader(str(source), format_name).records(with_images=with_images))


def fields(records):
    assert all(isinstance(record, Record) for record in records), records
    return [dict(record.fields) for record in records]


def rejects(records):
    return [(r.origin.row, r.reason) for r in records if isinstance(r, Reject)]


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# CSV


def test_csv_with_mark_crlf_quotes_lines_and_blank_lines(tmp_path):
    text = '\ufeffimage,caption\r\na.png,"two\r\nlines, ""quoted"""\r\n\r\nb.png,plain\r\n'
    records = read(write(tmp_path / "c.csv", text))
    assert fields(records) == [
        {"image": "a.png", "caption": 'two\r\nlines, "quoted"'},
        {"image": "b.png", "caption": "plain"},
    ]
    assert [record.origin.row for record in records] == [2, 5]


def test_tsv(tmp_path):
    records = read(write(tmp_path / "c.tsv", "image\tcaption\na.png\tone, two\n"))
    assert fields(records) == [{"image": "a.png", "caption": "one, two"}]


def test_csv_takes_large_fields(tmp_path):
    long = "word " * 100_000
    records = read(write(tmp_path / "c.csv", f"image,caption\na.png,{long}\n"))
    assert fields(records)[0]["caption"] == long


def test_csv_rejects_single_rows(tmp_path):
    text = 'image,caption\na.png\nb.png,x,y\nc.png,"x"y\nd.png,fine\n'
    records = read(write(tmp_path / "c.csv", text))
    assert rejects(records) == [
        (2, Reason.FIELD_COUNT),
        (3, Reason.FIELD_COUNT),
        (4, Reason.MALFORMED_CSV),
    ]
    assert fields(records[3:]) == [{"image": "d.png", "caption": "fine"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must name the columns"),
        ("image,image\n", "two columns are named 'image'"),
        ('image,caption,"note\na.png,x,y\nb.png,x,a 40"\n', "opens in the header"),
        ("image,caption\n".encode("utf-16"), "not UTF-8"),
        ("image;caption\na.png;x\n", "seems to be separated by ';'"),
    ],
)
def test_csv_refuses_a_broken_file(tmp_path, content, message):
    with pytest.raises(DexmatchError, match=message):
        read(write(tmp_path / "c.csv", content))


@pytest.mark.parametrize(("name", "mark"), [("c.csv", ","), ("c.tsv", "\t")])
@pytest.mark.parametrize("caption_first", [False, True])
def test_an_open_quote_costs_its_own_row_only(tmp_path, name, mark, caption_first):
    captions = [f"shape {number}" for number in range(1, 61)]
    captions[10] = '"a red square that is wide'
    captions[50] = 'a blue bar of 40"'
    rows = [(f"pics/{number:02}.png", caption) for number, caption in enumerate(captions)]
    order = -1 if caption_first else 1
    lines = [mark.join(row[::order]) for row in [("image", "caption"), *rows]]
    records = read(write(tmp_path / name, "\n".join(lines) + "\n"))
    assert rejects(records) == [(12, Reason.OPEN_QUOTE)]
    assert "lines 12 to 52" in records[10].detail
    good = [
        tuple(record.fields[name] for name in ("image", "caption"))
        for record in records[:10] + records[11:]
    ]
    assert good == rows[:10] + rows[11:]
    assert [record.origin.row for record in records] == list(range(2, 62))


@pytest.mark.parametrize(
    ("lines", "rejected"),
    [
        # Closed by the quote that opens the next one: the parser finds an error there.
        (['1.png,"open', "2.png,x", '3.png,"y, z"', "4.png,x"], [2]),
        # Never closed.
        (["1.png,x", '2.png,"open', "3.png,y", "4.png,z"], [3]),
        (["1.png,x", "2.png,x", "3.png,y", '4.png,"open'], [5]),
        # In the very next line.
        (["1.png,x", '2.png,"a 4', '3.png,a 40"', "4.png,z"], [3]),
        # Two of them, one right after the other.
        (['1.png,"open', '2.png,"open', "3.png,y", "4.png,z"], [2, 3]),
        # With a number of fields that is wrong.
        (["1.png,x", '2.png,"open', '3.png,a 40",b', "4.png,z"], [3, 4]),
    ],
)
def test_every_line_under_an_open_quote_is_accounted_for(tmp_path, lines, rejected):
    records = read(write(tmp_path / "c.csv", "\n".join(["image,caption", *lines])))
    assert [record.origin.row for record in records] == [2, 3, 4, 5]
    assert [row for row, _ in rejects(records)] == rejected


@pytest.mark.parametrize(
    ("caption", "columns"),
    [
        ("two\nlines, with a comma", 2),
        ("roses are red, violets blue\nroses, again\nand again, and again", 2),
        ("a list:\n1, 2\n3, 4", 2),
        ("see a.png\nb.png", 2),
        ("one\ntwo, three, four\nfive, six, seven", 3),
    ],
)
def test_a_caption_may_have_lines_with_commas(tmp_path, caption, columns):
    text = io.StringIO()
    row = ["a.png", caption, "7"][:columns]
    csv.writer(text).writerows([["image", "caption", "n"][:columns], row, row])
    records = read(write(tmp_path / "c.csv", text.getvalue()))
    assert [record["caption"] for record in fields(records)] == [caption] * 2


@given(captions=st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_csv_round_trip(tmp_path_factory, captions):
    path = tmp_path_factory.mktemp("csv") / "c.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption"])
        writer.writerows(["a.png", caption] for caption in captions)
    assert [record["caption"] for record in fields(read(path))] == captions


# JSON Lines


def test_jsonl(tmp_path):
    text = '\ufeff{"image": "a.png", "caption": ["x", "y"]}\r\n\n{"image": "b.png", "n": 1}\n'
    assert fields(read(write(tmp_path / "c.jsonl", text))) == [
        {"image": "a.png", "caption": ["x", "y"]},
        {"image": "b.png", "n": 1},
    ]


def test_jsonl_rejects_single_lines(tmp_path):
    lines = [b"{", b"[]", b'{"a": "\xff"}', b"[" * 100_000, b'{"a": 1}']
    records = read(write(tmp_path / "c.jsonl", b"\n".join(lines)))
    assert rejects(records) == [
        (1, Reason.INVALID_JSON),
        (2, Reason.INVALID_JSON),
        (3, Reason.NOT_UTF8),
        (4, Reason.INVALID_JSON),
    ]
    assert fields(records[4:]) == [{"a": 1}]


# COCO


def coco(images, annotations):
    return json.dumps({"images": images, "annotations": annotations})


def test_coco(tmp_path):
    images = [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "b.png"}]
    annotations = [
        {"id": 1, "image_id": 7, "caption": "x"},
        {"id": 2, "image_id": 99, "caption": "lost"},
        {"id": 3, "image_id": 7, "caption": "y"},
    ]
    records = read(write(tmp_path / "c.json", coco(images, annotations)))
    assert rejects(records) == [(2, Reason.MISSING_IMAGE)]
    found = fields([records[0], records[2], records[3]])
    assert [record.get("caption") for record in found] == ["x", "y", None]
    assert found[2] == {"file_name": "b.png", "image_id": 8}
    assert found[0]["annotation_id"] == 1


def test_coco_finds_the_pictures(tmp_path, encode):
    (tmp_path / "val2017").mkdir()
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2017" / "a.png").write_bytes(encode())
    path = tmp_path / "annotations" / "captions_val2017.json"
    write(path, coco([{"id": 1, "file_name": "a.png"}], []))
    folder = readers.open_reader(str(path), "coco").folder
    assert folder.resolve() == tmp_path / "val2017"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"images": [], "annotations": 1}', "[{}]"])
def test_coco_refuses_other_json(tmp_path, content):
    with pytest.raises(DexmatchError, match=r"c\.json"):
        read(write(tmp_path / "c.json", content))


# imagefolder


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.csv", "file_name,text\na.png,x\n"),
        ("metadata.jsonl", '{"file_name": "a.png", "text": "x"}\n'),
    ],
)
def test_imagefolder(tmp_path, name, content):
    write(tmp_path / name, content)
    assert readers.locate(str(tmp_path))[0] == "imagefolder"
    assert fields(read(tmp_path)) == [{"file_name": "a.png", "text": "x"}]


def test_imagefolders_below_are_one_source(tmp_path):
    for split, caption in (("train", "x"), ("test", "y")):
        (tmp_path / split).mkdir()
        write(tmp_path / split / "metadata.csv", f"file_name,text\na.png,{caption}\nb.png\n")
    assert readers.locate(str(tmp_path)) == ("imagefolder", str(tmp_path))
    records = read(tmp_path)
    assert [(each.origin.file, each.origin.row) for each in records] == [
        ("test/metadata.csv", 2),
        ("test/metadata.csv", 3),
        ("train/metadata.csv", 2),
        ("train/metadata.csv", 3),
    ]
    assert [each.folder for each in records if isinstance(each, Record)] == ["test", "train"]
    assert rejects(records) == [(3, Reason.FIELD_COUNT)] * 2


def test_imagefolders_below_have_one_format(tmp_path):
    for split, name in (("train", "metadata.csv"), ("test", "metadata.jsonl")):
        (tmp_path / split).mkdir()
        write(tmp_path / split / name, "")
    with pytest.raises(DexmatchError, match=r"test/metadata.jsonl, train/metadata.csv can't be"):
        read(tmp_path, "imagefolder")


# Parquet

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([{"bytes": b"x", "path": "a.png"}], STRUCT), EmbeddedImage("a.png", b"x")),
        (pa.array([{"bytes": b"x", "path": None}], STRUCT), EmbeddedImage("", b"x")),
        (pa.array([{"bytes": None, "path": "a.png"}], STRUCT), "a.png"),
        (pa.array([None], STRUCT), None),
        (pa.array([b"x"]), EmbeddedImage("", b"x")),
        (pa.array([b"x"], pa.large_binary()), EmbeddedImage("", b"x")),
        (pa.array(["a.png"]), "a.png"),
    ],
)
def test_parquet_kinds_of_picture(tmp_path, column, expected):
    pq.write_table(pa.table({"image": column, "caption": ["x"]}), tmp_path / "c.parquet")
    assert fields(read(tmp_path / "c.parquet")) == [{"image": expected, "caption": "x"}]


def test_parquet_folder_without_pictures(tmp_path):
    for number in (0, 1):
        table = pa.table({"image": [b"x"] * 40, "caption": [["a", "b"]] * 40})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    records = read(tmp_path, with_images=False)
    assert fields(records) == [{"image": EmbeddedImage("", b""), "caption": ["a", "b"]}] * 80
    assert {record.origin.file for record in records} == {"0.parquet", "1.parquet"}
    assert records[-1].origin.row == 40


def test_parquet_rejects_text_that_is_not_utf8(tmp_path):
    text = pa.array([b"fine", b"\xff"]).view(pa.string())
    pq.write_table(pa.table({"caption": text}), tmp_path / "c.parquet")
    records = read(tmp_path / "c.parquet")
    assert fields(records[:1]) == [{"caption": "fine"}]
    assert rejects(records) == [(2, Reason.NOT_UTF8)]


def test_parquet_refuses_a_broken_file(tmp_path):
    with pytest.raises(DexmatchError, match="not a Parquet file"):
        read(write(tmp_path / "c.parquet", b"PAR1 and no more"))


# WebDataset


def tar(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_webdataset(tmp_path):
    tar(
        tmp_path / "0.tar",
        {
            "1.jpg": b"x",
            "1.txt": b"one",
            "1.json": b'{"caption": null, "width": 3}',
            "2.png": b"y",
            "2.json": b'{"caption": ["two", "zwei"]}',
            "3.webp": b"z",
            "3.json": b'["three"]',
            "4.txt": b"no picture",
        },
    )
    assert fields(read(tmp_path / "0.tar")) == [
        {"image": EmbeddedImage("1", b"x"), "caption": "one", "width": 3},
        {"image": EmbeddedImage("2", b"y"), "caption": ["two", "zwei"]},
        {"image": EmbeddedImage("3", b"z"), "caption": ["three"]},
        {"image": None, "caption": "no picture"},
    ]


@pytest.mark.parametrize("source", ["", "{0..1}.tar"])
def test_webdataset_of_several_shards(tmp_path, source):
    for number in (0, 1):
        tar(tmp_path / f"{number}.tar", {"a.jpg": b"x", "a.txt": b"one"})
    records = read(f"{tmp_path}/{source}", with_images=False)
    assert [record.origin.file for record in records] == ["0.tar", "1.tar"]
    assert fields(records) == [{"image": EmbeddedImage("a", b""), "caption": "one"}] * 2


def samples(path):
    """Name, picture and caption of every record."""
    return [
        (
            each["image"] and each["image"].name,
            each["image"] and each["image"].content,
            each.get("caption"),
        )
        for each in fields(read(path))
    ]


def test_webdataset_names_may_have_dots(tmp_path):
    members = {}
    for number in range(20):
        members[f"v1.0/photo.{number:04}.jpg"] = b"%d" % number
        members[f"v1.0/photo.{number:04}.txt"] = b"caption %d" % number
    assert samples(tar(tmp_path / "0.tar", members)) == [
        (f"v1.0/photo.{number:04}", b"%d" % number, f"caption {number}") for number in range(20)
    ]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        # As WebDataset itself has it: the name ends at the first dot.
        ({"12.left.jpg": b"x", "12.caption.txt": b"one"}, [("12", b"x", "one")]),
        (
            {"a.b.1.jpg": b"x", "a.b.txt": b"one", "a.c.jpg": b"y", "a.c.txt": b"two"},
            [("a.c", b"y", "two"), ("a.b", b"x", "one")],
        ),
        # A mask beside a whole sample is no sample.
        ({"12.jpg": b"x", "12.seg.png": b"m", "12.txt": b"one"}, [("12", b"x", "one")]),
        ({"12.seg.png": b"m", "12.jpg": b"x", "12.txt": b"one"}, [("12", b"x", "one")]),
        ({"1.gif": b"x", "1.txt": b"one"}, [("1", b"x", "one")]),
        # Halves are not lost: each will be a reject.
        (
            {"p.1.jpg": b"x", "p.2.jpg": b"y", "p.3.txt": b"z", "q.txt": b"w"},
            [("p.1", b"x", None), ("p.2", b"y", None), (None, None, "z"), (None, None, "w")],
        ),
        ({"p.1.jpg": b"x", "p.2.jpg": b"y"}, [("p.1", b"x", None), ("p.2", b"y", None)]),
    ],
)
def test_webdataset_goes_by_the_longest_names_that_make_pairs(tmp_path, members, expected):
    assert samples(tar(tmp_path / "0.tar", members)) == expected


def test_webdataset_tells_of_files_that_are_no_part_of_a_pair(tmp_path):
    members = {}
    for number in range(3):
        members |= {f"{number}.jpg": b"x", f"{number}.seg.png": b"m", f"{number}.txt": b"one"}
        members |= {f"{number}.cls": b"1", f"._{number}.jpg": b"mac"}
    path = tar(tmp_path / "0.tar", members)
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("4.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "../../secret.png"
        archive.addfile(link)
    reader = readers.open_reader(str(path), "webdataset")
    assert len(list(reader.records(with_images=True))) == 3
    (remark,) = reader.remarks
    for part in (
        "10 files",
        "*.seg.png (3)",
        "*.cls (3)",
        "hidden files (3)",
        "links and devices (1)",
    ):
        assert part in remark


def test_webdataset_of_names_that_all_begin_alike_does_not_end_up_in_memory(tmp_path):
    members = {f"p.{number}.{suffix}": b"x" for number in range(99) for suffix in ("jpg", "txt")}
    members |= {f"p.{number}.png": b"x" for number in range(99, 140)}
    reader = readers.open_reader(str(tar(tmp_path / "0.tar", members)), "webdataset")
    position = []
    for record in reader.records(with_images=True):
        position.append(int(record.fields["image"].name[2:]))
    assert position == list(range(140))


def test_webdataset_rejects_a_sample_with_a_file_twice(tmp_path):
    path = tmp_path / "0.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("a.jpg", "a.txt", "a.jpg", "b.jpg", "b.txt"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    records = read(path)
    assert rejects(records) == [(1, Reason.REPEATED_MEMBER)]
    assert "a.jpg" in records[0].detail and "\n" not in records[0].detail
    assert records[1].fields["image"].name == "b"


def test_webdataset_compressed(tmp_path):
    path = tar(tmp_path / "0.tar.gz", {"a.jpg": b"x", "a.txt": b"one"}, "w:gz")
    assert len(fields(read(path))) == 1


def test_webdataset_refuses_a_truncated_compressed_tar(tmp_path):
    path = tar(tmp_path / "0.tar.gz", {"a.jpg": bytes(range(256)) * 50, "a.txt": b"one"}, "w:gz")
    write(path, path.read_bytes()[:-20])
    with pytest.raises(DexmatchError, match=r"0\.tar\.gz"):
        read(path)


def test_webdataset_rejects_single_samples(tmp_path):
    path = tar(
        tmp_path / "0.tar", {"a.jpg": b"x", "a.json": b"{", "b.jpg": b"x", "b.json": b"\xff"}
    )
    assert rejects(read(path)) == [(1, Reason.INVALID_JSON), (2, Reason.NOT_UTF8)]


def test_webdataset_refuses_what_is_no_tar(tmp_path):
    with pytest.raises(DexmatchError, match="broken tar file"):
        read(write(tmp_path / "0.tar", b"no tar" * 1000))


def test_webdataset_refuses_a_truncated_tar(tmp_path):
    path = tar(tmp_path / "0.tar", {"a.jpg": b"x" * 5000, "a.txt": b"one"})
    write(path, path.read_bytes()[:3000])
    with pytest.raises(DexmatchError, match="broken tar file"):
        read(path)


@pytest.mark.parametrize("with_images", [True, False])
def test_webdataset_does_not_stop_at_a_broken_header(tmp_path, with_images):
    path = tar(tmp_path / "0.tar", {"a.jpg": b"x", "a.txt": b"one", "b.jpg": b"y", "b.txt": b"two"})
    content = bytearray(path.read_bytes())
    content[4 * 512 : 4 * 512 + 20] = b"?" * 20
    write(path, bytes(content))
    with pytest.raises(DexmatchError, match="broken tar file"):
        read(path, with_images=with_images)


# Guessing


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.CSV", "csv"),
        ("a.tsv", "tsv"),
        ("a.ndjson", "jsonl"),
        ("a.json", "coco"),
        ("a.parquet", "parquet"),
        ("a.tar.gz", "webdataset"),
        ("{0..3}.tar", "webdataset"),
    ],
)
def test_guesses_the_format_of_a_file(tmp_path, name, expected):
    assert readers.locate(str(tmp_path / name)) == (expected, str(tmp_path / name))


def test_guesses_the_only_table_of_a_folder(tmp_path):
    write(tmp_path / "captions.csv", "")
    (tmp_path / "images").mkdir()
    assert readers.locate(str(tmp_path)) == ("csv", str(tmp_path / "captions.csv"))


@pytest.mark.parametrize(
    ("names", "message"),
    [([], "found none"), (["a.csv", "b.tsv"], "name one of them")],
)
def test_says_what_a_folder_lacks(tmp_path, names, message):
    for name in names:
        write(tmp_path / name, "")
    with pytest.raises(DexmatchError, match=message):
        readers.locate(str(tmp_path))


@pytest.mark.parametrize("name", ["missing.xyz", "missing"])
def test_says_that_a_source_is_missing(tmp_path, name):
    with pytest.raises(DexmatchError, match="no such file"):
        readers.locate(str(tmp_path / name))


@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.jsonl", "m.json", "m.parquet", "m.tar"])
def test_every_reader_says_that_its_file_is_missing(tmp_path, name):
    with pytest.raises(DexmatchError, match=name):
        read(tmp_path / name)


def test_finds_parquet_files_behind_links(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    pq.write_table(pa.table({"image": ["a.png"], "caption": ["x"]}), elsewhere / "0.parquet")
    source = tmp_path / "source"
    source.mkdir()
    (source / "data").symlink_to(elsewhere)
    (source / "loop").symlink_to(source)
    assert fields(read(source)) == [{"image": "a.png", "caption": "x"}]


def test_numbers_are_kept_as_they_are_written(tmp_path):
    (record,) = read(write(tmp_path / "c.jsonl", '{"a": 2.10, "b": 12E3, "c": 12000}'))
    assert [as_text(record.fields[name]) for name in "abc"] == ["2.10", "12E3", "12000"]
    pq.write_table(
        pa.table({"a": pa.array([0.1], pa.float32()), "b": [0.1]}), tmp_path / "c.parquet"
    )
    (record,) = read(tmp_path / "c.parquet")
    assert [as_text(record.fields[name]) for name in "ab"] == ["0.1", "0.1"]


def test_parquet_text_in_a_binary_column(tmp_path):
    table = pa.table({"image": [b"x"], "caption": [b"one"], "photo": [b"\x89PNG"]})
    pq.write_table(table, tmp_path / "c.parquet")
    assert fields(read(tmp_path / "c.parquet")) == [
        {"image": EmbeddedImage("", b"x"), "caption": "one", "photo": EmbeddedImage("", b"\x89PNG")}
    ]
    assert fields(read(tmp_path / "c.parquet", with_images=False))[0]["caption"] == "one"


def test_imagefolder_tells_of_metadata_files_that_it_does_not_read(tmp_path):
    (tmp_path / "more").mkdir()
    for name in ("metadata.csv", "metadata.jsonl", "more/metadata.csv"):
        write(tmp_path / name, "file_name,text\na.png,x\n")
    reader = readers.open_reader(str(tmp_path), "imagefolder")
    (remark,) = reader.remarks
    assert "metadata.csv is read, not metadata.jsonl, more/metadata.csv" in remark


def test_jsonl_says_what_a_line_must_hold(tmp_path):
    records = read(write(tmp_path / "c.jsonl", '[\n{"image": "a.png"}\n]\n'))
    assert rejects(records) == [(1, Reason.INVALID_JSON), (3, Reason.INVALID_JSON)]
    assert "one whole object" in records[0].detail
