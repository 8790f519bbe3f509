import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils, standard_artifacts

from components.leakage_guard import executor, leaks
from components.leakage_guard.artifacts import LeakageReport
from components.leakage_guard.leaks import Example, Leak, Sightings
from core import features
from core.errors import DexmatchError
from results.metadata import WARNING

SPLITS = ("train", "val", "test")


def picture(number: int, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (12, 16, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def pair(number: int, split: str, label: int = 1, **changed: bytes) -> tuple[str, bytes]:
    """A pair that shares nothing with others, but for what is changed."""
    values = {
        features.ID: b"%d" % number,
        features.GROUP: b"group %d" % number,
        features.IMAGE: picture(number),
        features.CAPTION: b"caption %d" % number,
        **changed,
    }
    example = tf.train.Example()
    for name, value in values.items():
        example.features.feature[name].bytes_list.value.append(value)
    example.features.feature[features.LABEL].int64_list.value.append(label)
    return split, example.SerializeToString()


def run_guard(folder, *pairs, image_leakage="error", caption_leakage="warn"):
    """Runs the guard on these pairs and on forty that leak nothing; returns its report."""
    clean = [pair(100 + number, SPLITS[number % 3]) for number in range(40)]
    examples = _examples(folder, [*clean, *pairs])
    report = LeakageReport()
    report.uri = str(folder / "report")
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=["--runner=FnApiRunner"], tmp_dir=str(folder / "tmp"), unique_id="1"
    )
    executor.Executor(context).Do(
        {executor.EXAMPLES: [examples]},
        {executor.REPORT: [report]},
        {
            executor.IMAGE_SIZE: 32,
            executor.NORMALIZE: "",
            executor.IMAGE_LEAKAGE: image_leakage,
            executor.CAPTION_LEAKAGE: caption_leakage,
        },
    )
    return report


def _examples(folder, pairs):
    examples = standard_artifacts.Examples()
    examples.uri = str(folder / "examples")
    examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
    for split in SPLITS:
        target = folder / "examples" / f"Split-{split}"
        target.mkdir(parents=True)
        options = tf.io.TFRecordOptions(compression_type="GZIP")
        with tf.io.TFRecordWriter(str(target / "data_tfrecord-0.gz"), options) as writer:
            for name, record in pairs:
                if name == split:
                    writer.write(record)
    return examples


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report on pairs that share all that they may."""
    return run_guard(
        tmp_path_factory.mktemp("guard"),
        # One picture three times, in two formats.
        pair(1, "train"),
        pair(2, "test", image=picture(1)),
        pair(3, "test", image=picture(1, "BMP")),
        # No pictures at all: two of them are the same.
        pair(4, "train", image=b"torn"),
        pair(5, "val", image=b"torn"),
        pair(6, "test", image=b"burnt"),
        # One caption three times, once as a wrong one; one that holds its words and more.
        pair(7, "train", caption=b"A red bird."),
        pair(8, "test", caption=b"a  RED bird"),
        pair(9, "test", label=0, caption=b"a red bird"),
        pair(10, "test", caption=b"a red bird, flying"),
        # No words at all.
        pair(11, "train", caption=b"!"),
        pair(12, "test", caption=b"?"),
        # Neither of these is train.
        pair(13, "val", group=b"family"),
        pair(14, "test", group=b"family"),
        image_leakage="warn",
    )


def found(report, kind: str) -> list[Leak]:
    return [leak for leak in executor.read_leaks(report.uri) if leak.kind == kind]


def test_the_same_picture_is_found_in_any_format_and_if_broken_by_its_bytes(report):
    assert found(report, leaks.PICTURE) == [
        Leak(leaks.PICTURE, "test", 1, 2, 20, (Example("2", "1"),)),
        Leak(leaks.PICTURE, "val", 1, 1, 15, (Example("5", "4"),)),
    ]


def test_the_same_words_are_found_among_true_captions_only(report):
    assert found(report, leaks.CAPTION) == [
        Leak(leaks.CAPTION, "test", 1, 1, 20, (Example("8", "7"),))
    ]


def test_captions_are_compared_as_they_come_out_of_the_users_function(test_module, tmp_path):
    code = test_module("modules/user_code.py")
    texts = (b"A grey bird", b"a gray bird", b"a red bird")
    records = [pair(n, "train", caption=text)[1] for n, text in enumerate(texts)]
    with code.written(tmp_path):
        fingerprint = executor.Fingerprint(32, code.NAMED["caption.normalize"])
        fingerprint.setup()
        batch = [found for record in records for found in executor.true_pair(record, "train")]
        keys = [key for key, _ in fingerprint.process(batch) if key[0] == leaks.CAPTION]
    assert keys[0] == keys[1] != keys[2]


def test_what_judged_splits_share_with_each_other_is_no_leak(report):
    assert found(report, leaks.GROUP) == []


def test_a_warning_is_one_line_and_says_what_and_where(report):
    warning = report.get_string_custom_property(WARNING)
    assert "\n" not in warning
    for part in (
        "split test shares 1 picture with train, in 2 of its 20 pairs, such as '2' ('1' in train)",
        "split val shares 1 picture with train",
        "split test shares 1 caption with train, in 1 of its 20 pairs, such as '8' ('7' in train)",
    ):
        assert part in warning


def test_splits_that_share_nothing_pass_without_a_word(tmp_path):
    clean = run_guard(tmp_path)
    assert executor.read_leaks(clean.uri) == []
    assert not clean.has_custom_property(WARNING)


def test_a_group_on_both_sides_stops_the_run(tmp_path):
    shared = {features.GROUP: b"family"}
    pairs = [pair(1, "train", **shared), pair(2, "test", **shared), pair(3, "test", **shared)]
    with pytest.raises(DexmatchError) as raised:
        run_guard(tmp_path, *pairs, image_leakage="warn")
    message = str(raised.value)
    assert "split test shares 1 group with train, in 2 of its 15 pairs" in message
    assert "'2' ('1' in train)" in message
    assert "\n" not in message


@pytest.mark.parametrize("kind", [leaks.PICTURE, leaks.CAPTION])
def test_each_kind_is_an_error_or_a_warning_as_asked_for(kind):
    leak = Leak(kind, "val", 2, 3, 9, (Example("2", "1"),))
    error, warning = leaks.judge([leak], {kind: "error"})
    assert f"split val shares 2 {kind}s" in error and "--group-column" in error
    assert warning == ""
    assert leaks.judge([leak], {kind: "warn"}) == ("", error)
    assert leaks.judge([], {kind: "error"}) == ("", "")


def test_sightings_do_not_depend_on_the_order():
    seen = [("train", "5"), ("test", "3"), ("test", "2"), ("train", "4"), ("val", "9")]
    expected = [
        Leak("group", "test", 1, 2, 0, (Example("2", "4"),)),
        Leak("group", "val", 1, 1, 0, (Example("9", "4"),)),
    ]
    for order in (seen, seen[::-1]):
        one, two = Sightings(), Sightings()
        for index, (split, pair_id) in enumerate(order):
            (one if index < 2 else two).add(split, pair_id)
        one.merge(two)
        assert one.leaks("group") == expected


def test_merged_leaks_add_up_and_name_the_first_few():
    single = [Leak("group", "test", 1, 2, 9, (Example(f"{n}", "0"),)) for n in range(8)]
    merged = leaks.merge(single[::-1])
    assert (merged.values, merged.pairs, merged.of_pairs) == (8, 16, 9)
    assert merged.examples == tuple(Example(f"{n}", "0") for n in range(leaks.SHOWN))
    assert leaks.merge([]) is None
