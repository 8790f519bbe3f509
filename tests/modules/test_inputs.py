import numpy as np
import pytest
import tensorflow as tf

from core import features
from modules.training import inputs

LENGTH = 3
SPEC = {
    features.PIXELS: tf.io.FixedLenFeature([], tf.string),
    features.IS_VALID: tf.io.FixedLenFeature([], tf.int64),
    features.TOKENS: tf.io.FixedLenFeature([LENGTH], tf.int64),
    features.HARD_TOKENS: tf.io.VarLenFeature(tf.int64),
    features.GROUP_HASH: tf.io.FixedLenFeature([], tf.int64),
    features.LABEL: tf.io.FixedLenFeature([], tf.int64),
}


def transformed(number: int, is_valid: int = 1) -> bytes:
    """A pair whose token and picture tell its number; pair n has n % 3 hard captions."""
    example = tf.train.Example()
    feature = example.features.feature
    pixels = np.full((4, 4, 3), number, np.uint8)
    feature[features.PIXELS].bytes_list.value.append(tf.io.encode_png(pixels).numpy())
    feature[features.IS_VALID].int64_list.value.append(is_valid)
    feature[features.TOKENS].int64_list.value.extend([number, 1, 0])
    hard = [100 * number + index for index in range(number % 3)]
    feature[features.HARD_TOKENS].int64_list.value.extend([t for h in hard for t in (h, 1, 0)])
    feature[features.GROUP_HASH].int64_list.value.append(number)
    feature[features.LABEL].int64_list.value.append(number % 2)
    return example.SerializeToString()


@pytest.fixture
def write(tmp_path):
    def write_files(*files: list[bytes]) -> list[str]:
        options = tf.io.TFRecordOptions(compression_type="GZIP")
        paths = []
        for index, records in enumerate(files):
            paths.append(str(tmp_path / f"{len(list(tmp_path.iterdir()))}-{index}.gz"))
            with tf.io.TFRecordWriter(paths[-1], options) as writer:
                for record in records:
                    writer.write(record)
        return paths

    return write_files


def first_tokens(dataset, batches=None):
    taken = dataset if batches is None else dataset.take(batches)
    return [batch[features.TOKENS][:, 0].tolist() for batch in taken.as_numpy_iterator()]


def training(rows, hard_captions=1, seed=5):
    return inputs.training_pairs(rows, LENGTH, 4, hard_captions, seed)


def spelled(record: bytes, reverse: bool) -> bytes:
    """The same example with its features by name or the other way round: protobuf writes any."""
    example = tf.train.Example.FromString(record)
    fields = b"".join(
        tf.train.Features(feature={name: example.features.feature[name]}).SerializeToString()
        for name in sorted(example.features.feature, reverse=reverse)
    )
    # Field 1 of Example, length-delimited: the Features message.
    length, size = b"", len(fields)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return b"\x0a" + length + bytes([size]) + fields


def test_rows_come_in_the_same_order_whatever_the_files_and_their_spelling(write):
    records = [spelled(transformed(number), reverse=False) for number in range(10)]
    others = [spelled(record, reverse=number % 2 > 0) for number, record in enumerate(records)]
    assert others != records
    one = inputs.pair_rows(write(records), SPEC)
    two = inputs.pair_rows(write(others[7:], others[:7][::-1]), SPEC)
    found = [[int(row[features.TOKENS][0]) for row in rows] for rows in (one, two)]
    assert found[0] == found[1]
    assert sorted(found[0]) == list(range(10))


def test_too_many_rows_to_sort_are_streamed(write, monkeypatch):
    monkeypatch.setattr(inputs, "_SORTED_BYTES", 10)
    rows = inputs.pair_rows(write([transformed(number) for number in (3, 1, 2)]), SPEC)
    assert [int(row[features.TOKENS][0]) for row in rows] == [3, 1, 2]


def test_a_picture_that_could_not_be_decoded_is_passed_over(write):
    rows = inputs.pair_rows(write([transformed(1), transformed(2, is_valid=0)]), SPEC)
    assert [int(row[features.TOKENS][0]) for row in rows] == [1]


def test_validation_pairs_are_all_there_once(write):
    rows = inputs.pair_rows(write([transformed(number) for number in range(10)]), SPEC)
    batches = list(inputs.validation_pairs(rows, 4).as_numpy_iterator())
    assert [len(label) for _, label in batches] == [4, 4, 2]
    for pairs, label in batches:
        pixels, tokens = pairs[features.PIXELS], pairs[features.TOKENS]
        assert pixels.shape[1:] == (4, 4, 3)
        np.testing.assert_array_equal(pixels[:, 0, 0, 0], tokens[:, 0])
        np.testing.assert_array_equal(label, tokens[:, 0] % 2)
        assert label.dtype == np.float32


def test_no_thread_tunes_them_whom_an_ending_iterator_would_wait_for(write):
    rows = inputs.pair_rows(write([transformed(number) for number in range(4)]), SPEC)
    for batches in (training(rows), inputs.validation_pairs(rows, 4)):
        assert batches.options().autotune.enabled is False


def test_training_batches_are_full_and_every_epoch_has_another_order(write):
    rows = inputs.pair_rows(write([transformed(number) for number in range(8)]), SPEC)
    batches = first_tokens(training(rows), 4)
    assert [len(batch) for batch in batches] == [4] * 4
    first, second = batches[0] + batches[1], batches[2] + batches[3]
    assert sorted(first) == sorted(second) == list(range(8))
    assert first != second


def test_the_same_seed_gives_the_same_batches(write):
    rows = inputs.pair_rows(write([transformed(number) for number in range(8)]), SPEC)

    def drawn(seed):
        batches = training(rows, seed=seed).take(6).as_numpy_iterator()
        return [
            np.concatenate([b[features.TOKENS][:, None], b[features.HARD_TOKENS]], 1)
            for b in batches
        ]

    np.testing.assert_array_equal(drawn(5), drawn(5))
    assert not np.array_equal(drawn(5), drawn(6))


def test_hard_captions_are_its_own_and_drawn_anew(write):
    rows = inputs.pair_rows(write([transformed(number) for number in range(8)]), SPEC)
    seen = {}
    for batch in training(rows).take(40).as_numpy_iterator():
        hard = batch[features.HARD_TOKENS]
        assert hard.shape == (4, 1, LENGTH)
        for number, (token, *_) in zip(batch[features.TOKENS][:, 0], hard[:, 0], strict=True):
            seen.setdefault(int(number), set()).add(int(token))
    for number, tokens in seen.items():
        expected = {100 * number + index for index in range(number % 3)} or {0}
        assert tokens == expected


def test_where_there_are_fewer_hard_captions_the_rest_is_padding(write):
    rows = inputs.pair_rows(write([transformed(number) for number in range(8)]), SPEC)
    (batch,) = training(rows, hard_captions=2).take(1).as_numpy_iterator()
    for number, hard in zip(batch[features.TOKENS][:, 0], batch[features.HARD_TOKENS], strict=True):
        assert (hard.any(axis=1)).sum() == number % 3


def test_data_without_hard_captions(write):
    spec = {name: kind for name, kind in SPEC.items() if name != features.HARD_TOKENS}
    rows = inputs.pair_rows(write([transformed(number) for number in range(4)]), spec)
    (batch,) = training(rows).take(1).as_numpy_iterator()
    assert not batch[features.HARD_TOKENS].any()


@pytest.mark.parametrize("seed", [0, 5])
def test_a_later_epoch_can_be_entered_directly(write, seed):
    """Seed 0 as well: TensorFlow takes two zeros for "no seed"."""
    tf.keras.utils.set_random_seed(seed)
    rows = inputs.pair_rows(write([transformed(number) for number in range(8)]), SPEC)

    def drawn(first_epoch, batches):
        dataset = inputs.training_pairs(rows, LENGTH, 4, 1, seed, first_epoch)
        return [
            np.concatenate([b[features.TOKENS][:, None], b[features.HARD_TOKENS]], 1)
            for b in dataset.take(batches).as_numpy_iterator()
        ]

    whole = drawn(0, 8)
    np.testing.assert_array_equal(whole[4:], drawn(2, 4))
    assert not np.array_equal(whole[:4], whole[4:])


def test_an_epoch_never_repeats_a_pair(write):
    rows = inputs.pair_rows(write([transformed(number) for number in range(7)]), SPEC)
    assert all(len(set(batch)) == 4 for batch in first_tokens(training(rows), 6))


def test_attributes_travel_with_their_pair(write):
    records = []
    for number in range(8):
        example = tf.train.Example.FromString(transformed(number))
        example.features.feature[features.ATTRIBUTES].int64_list.value.extend([number, -1])
        records.append(example.SerializeToString())
    spec = {**SPEC, features.ATTRIBUTES: tf.io.FixedLenFeature([2], tf.int64)}
    batch = next(training(inputs.pair_rows(write(records), spec)).as_numpy_iterator())
    expected = [[token, -1] for token in batch[features.TOKENS][:, 0]]
    assert batch[features.ATTRIBUTES].tolist() == expected
    assert features.ATTRIBUTES not in next(
        training(inputs.pair_rows(write([transformed(1)] * 4), SPEC)).as_numpy_iterator()
    )


def test_values_of_attributes_are_counted_but_for_unknown_ones():
    ids = tf.constant([[0, 2], [1, -1], [1, 2]], tf.int64)
    rows = tf.data.Dataset.from_tensor_slices({features.ATTRIBUTES: ids})
    found = inputs.count_attributes(rows, [2, 4])
    assert [each.tolist() for each in found] == [[1, 2], [0, 0, 2, 0]]
