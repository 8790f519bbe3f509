import numpy as np
import pytest
import tensorflow as tf

from benchmarks import judging

KINDS = np.array(["matched", "matched", "random", "random", "hard", "hard"])
LABELS = np.array([1, 1, 0, 0, 0, 0])


def write_split(folder, split, rows, files=1):
    target = folder / f"Split-{split}"
    target.mkdir(parents=True)
    for number in range(files):
        path = str(target / f"data_tfrecord-{number:05}.gz")
        with tf.io.TFRecordWriter(path, "GZIP") as writer:
            for row in rows[number::files]:
                writer.write(example(**row).SerializeToString())


def example(label, **texts):
    made = tf.train.Example()
    made.features.feature["label"].int64_list.value.append(label)
    for name, text in texts.items():
        made.features.feature[name].bytes_list.value.append(text.encode())
    return made


def row(number, kind="matched", caption="a bird"):
    return {
        "id": f"id{number}",
        "group": f"group{number}",
        "image": f"picture {number}",
        "caption": caption,
        "pair_kind": kind,
        "label": int(kind == "matched"),
    }


def test_each_contest_takes_the_matched_pairs_and_its_own_wrong_ones():
    # Random ones are all lower than the matched ones; of the hard ones, half the comparisons fail.
    found = judging.figures(LABELS, KINDS, np.array([0.6, 0.8, 0.1, 0.2, 0.7, 0.7]))
    assert found[judging.AUC_RANDOM] == 1.0
    assert found[judging.AUC_HARD] == 0.5
    assert found[judging.AUC] == 0.75
    assert found[judging.MATCHED_PROBABILITY] == pytest.approx(0.7)


def test_a_contest_without_wrong_pairs_has_no_figure():
    rows = KINDS != "hard"
    found = judging.figures(LABELS[rows], KINDS[rows], np.array([0.6, 0.8, 0.1, 0.2]))
    assert judging.AUC_HARD not in found
    assert judging.AUC in found


def test_the_calibration_error_is_the_gap_weighted_by_bin():
    # One bin: mean probability 0.5, share of matched pairs 1/4. Another: 0.9 and 1.
    probabilities = np.array([0.5, 0.5, 0.5, 0.5, 0.9, 0.9])
    labels = np.array([1, 0, 0, 0, 1, 1])
    expected = 4 / 6 * 0.25 + 2 / 6 * 0.1
    assert judging.calibration_error(labels, probabilities) == pytest.approx(expected)


def test_gaps_of_one_bin_cancel_and_those_of_two_do_not():
    labels = np.array([0, 1])
    assert judging.calibration_error(labels, np.array([0.5, 0.5])) == 0
    assert judging.calibration_error(labels, np.array([0.4, 0.6])) == pytest.approx(0.4)


def test_certain_answers_have_bins_too():
    assert judging.calibration_error(np.array([0, 1]), np.array([0.0, 1.0])) == 0


def test_pairs_are_read_in_the_same_order_however_they_are_stored(tmp_path):
    rows = [row(2), row(1, "random", "a cat"), row(1), row(1, "hard", "a dog")]
    write_split(tmp_path / "one", "test", rows)
    write_split(tmp_path / "other", "test", rows[::-1], files=2)
    first, second = (judging.read(tmp_path / name, "test") for name in ("one", "other"))
    assert first.captions == second.captions == ["a dog", "a bird", "a cat", "a bird"]
    assert first.kinds.tolist() == ["hard", "matched", "random", "matched"]
    assert first.labels.tolist() == [0, 1, 0, 1]
    assert first.images == [b"picture 1"] * 3 + [b"picture 2"]
    assert first.groups[-1] == "group2"


def test_a_missing_split_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no split val"):
        judging.read(tmp_path, "val")
