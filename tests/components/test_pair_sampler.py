import dataclasses
import pickle
import random
from collections import Counter

import pytest
import tensorflow as tf
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils, standard_artifacts

from benchmarks import pair_sampling
from benchmarks.pair_sampling import RankedInPython
from components.pair_sampler import caption_words, executor, sampling
from components.pair_sampler.caption_words import CaptionWords
from components.pair_sampler.sampling import Candidate, CandidatePool, PoolOrder
from core import buckets, features
from core.errors import DexmatchError
from results.metadata import WARNING

pytestmark = pytest.mark.slow

COLORS = (b"red", b"blue", b"green")
SHAPES = (b"round", b"long", b"flat", b"")


def candidates(count: int = 60, group_size: int = 3) -> list[Candidate]:
    generator = random.Random(0)
    return [
        Candidate(
            pair_id=b"%d" % number,
            group=b"g%d" % (number // group_size),
            # Every fifth says the same.
            caption=b"same words" if number % 5 == 0 else b"caption %d" % number,
            values=(generator.choice(COLORS), generator.choice(SHAPES)),
        )
        for number in range(count)
    ]


def draws(pool: CandidatePool, pairs: list[Candidate]):
    return {pair.pair_id: (pool.draw_random(pair, 2), pool.draw_hard(pair, 2)) for pair in pairs}


def test_the_draw_does_not_depend_on_order():
    pairs = candidates()
    shuffled = random.Random(1).sample(pairs, len(pairs))
    expected = draws(CandidatePool("test", pairs, seed=7), pairs)
    assert draws(CandidatePool("test", shuffled, seed=7), shuffled[::-1]) == expected


@pytest.mark.parametrize(("split", "seed"), [("test", 8), ("val", 7)])
def test_another_seed_or_split_is_another_draw(split, seed):
    pairs = candidates()
    first = draws(CandidatePool("test", pairs, seed=7), pairs)
    assert draws(CandidatePool(split, pairs, seed=seed), pairs) != first


def test_wrong_captions_are_of_other_groups_and_other_words():
    pairs = candidates()
    pool = CandidatePool("test", pairs, seed=7)
    for pair in pairs:
        for wrong in (*pool.draw_random(pair, 10), *pool.draw_hard(pair, 10)):
            assert wrong.group != pair.group
            assert wrong.caption != pair.caption


def test_a_caption_is_drawn_once_for_a_pair():
    pairs = candidates()
    pool = CandidatePool("test", pairs, seed=7)
    for pair in pairs:
        for drawn in (pool.draw_random(pair, 10), pool.draw_hard(pair, 10)):
            assert len({wrong.pair_id for wrong in drawn}) == len(drawn)


def test_hard_captions_share_a_value_and_differ_in_one():
    pairs = candidates()
    pool = CandidatePool("test", pairs, seed=7)
    for pair in pairs:
        for wrong in pool.draw_hard(pair, 5):
            same = [a == b != b"" for a, b in zip(pair.values, wrong.values, strict=True)]
            assert any(same)
            assert pair.values != wrong.values


def test_hard_captions_are_closer_than_random_ones():
    generator = random.Random(3)
    pairs = [
        Candidate(b"%d" % n, b"g%d" % n, b"c%d" % n, tuple(generator.choices(COLORS, k=6)))
        for n in range(200)
    ]
    pool = CandidatePool("test", pairs, seed=7)

    def shared(pair, drawn):
        return sum(a == b for a, b in zip(pair.values, drawn[0].values, strict=True))

    hard = sum(shared(pair, pool.draw_hard(pair, 1)) for pair in pairs)
    by_chance = sum(shared(pair, pool.draw_random(pair, 1)) for pair in pairs)
    assert hard > 1.5 * by_chance


def test_without_metadata_there_are_no_hard_captions():
    pairs = [Candidate(b"%d" % n, b"g%d" % n, b"c%d" % n, ()) for n in range(5)]
    assert CandidatePool("test", pairs, seed=7).draw_hard(pairs[0], 3) == []


def test_one_group_alone_is_told_in_one_line():
    pairs = [Candidate(b"%d" % n, b"only", b"c%d" % n, ()) for n in range(5)]
    with pytest.raises(DexmatchError, match="split val: pair '0'") as raised:
        CandidatePool("val", pairs, seed=7).draw_random(pairs[0], 1)
    assert "\n" not in str(raised.value)


def test_captions_all_alike_are_told_in_one_line():
    pairs = [Candidate(b"%d" % n, b"g%d" % n, b"same", ()) for n in range(5)]
    with pytest.raises(DexmatchError, match="no other caption of another group"):
        CandidatePool("test", pairs, seed=7).draw_random(pairs[0], 1)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_split_without_a_pair_is_told_in_one_line(split):
    with pytest.raises(DexmatchError, match=rf"split {split}: .*data\.{split}_buckets") as raised:
        CandidatePool(split, [], seed=7)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("count", "columns", "values", "hard"),
    [(1, 2, 2, 1), (3, 1, 1, 3), (40, 3, 2, 2), (40, 0, 1, 3), (500, 2, 3, 60), (3_000, 5, 4, 3)],
)
def test_look_alikes_are_those_that_pythons_own_loop_finds(count, columns, values, hard):
    for seed in range(5):
        pairs = pair_sampling.made_up(count, columns, values, seed)
        expected = RankedInPython("test", pairs, seed)
        pool = CandidatePool("test", pairs, seed)
        for pair in pairs[:20]:
            assert pool.draw_hard(pair, hard) == expected.draw_hard(pair, hard)


def test_a_draw_leaves_pythons_generator_as_if_it_had_made_the_numbers_itself():
    ours, pythons = random.Random(b"seed"), random.Random(b"seed")
    for count in (0, 1, 311, 5_000):
        lots = sampling._lots(ours, count)
        assert lots.tolist() == [int(pythons.random() * 2**53) for _ in range(count)]
        assert ours.getstate() == pythons.getstate()


def chosen(pairs: list[Candidate], seed: int, split: str = "test") -> list[Candidate]:
    return sorted(pairs, key=PoolOrder(split, seed))[:10]


def test_a_pool_is_a_sample_that_depends_on_seed_and_split_alone():
    pairs = candidates()
    # Two pairs of one id, and one that is there twice.
    pairs += [dataclasses.replace(pairs[0], caption=b"other words"), pairs[1]]
    first = chosen(pairs, 7)
    assert chosen(random.Random(1).sample(pairs, len(pairs)), 7) == first
    assert chosen(pairs, 8) != first != chosen(pairs, 7, "val")
    often = Counter(pair.pair_id for seed in range(300) for pair in chosen(candidates(), seed))
    assert len(often) == 60 and max(often.values()) < 100


# The executor.


def raw_pair(number: int) -> tf.train.Example:
    example = tf.train.Example()
    feature = example.features.feature
    feature[features.IMAGE].bytes_list.value.append(b"image %d" % number)
    feature[features.CAPTION].bytes_list.value.append(b"caption %d" % number)
    feature[features.ID].bytes_list.value.append(b"%d" % number)
    feature[features.GROUP].bytes_list.value.append(b"g%d" % (number // 2))
    feature[features.IMAGE_HEIGHT].int64_list.value.append(64)
    feature[features.IMAGE_WIDTH].int64_list.value.append(64 + number % 2)
    feature["color"].bytes_list.value.append(COLORS[number % 3])
    feature["legs"].int64_list.value.append(number % 2)
    if number % 4 == 0:
        feature[features.HARD_CAPTION].bytes_list.value.extend([b"own hard a", b"own hard b"])
    return example


def write_split(folder, split: str, numbers) -> None:
    target = folder / f"Split-{split}"
    target.mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(target / "data_tfrecord-00000-of-00001.gz"), options) as writer:
        for number in numbers:
            writer.write(raw_pair(number).SerializeToString())


def read_split(folder, split: str) -> list[tf.train.Example]:
    files = sorted(str(path) for path in (folder / f"Split-{split}").iterdir())
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    return [tf.train.Example.FromString(record) for record in records.as_numpy_iterator()]


SPLITS = {"train": range(20), "val": range(20, 30), "test": range(30, 40)}


def run_executor(folder, order=1, max_tokens=48, splits=SPLITS):
    examples = standard_artifacts.Examples()
    examples.uri = str(folder / "in")
    examples.split_names = artifact_utils.encode_split_names(list(splits))
    for split, numbers in splits.items():
        write_split(folder / "in", split, list(numbers)[::order])
    sampled = standard_artifacts.Examples()
    sampled.uri = str(folder / "out")
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=["--runner=FnApiRunner"], tmp_dir=str(folder / "tmp"), unique_id="1"
    )
    executor.Executor(context).Do(
        {executor.EXAMPLES: [examples]},
        {executor.SAMPLED: [sampled]},
        {
            executor.SEED: 7,
            executor.RANDOM_NEGATIVES: 2,
            executor.HARD_NEGATIVES: 1,
            executor.TRAIN_HARD_NEGATIVES: 3,
            executor.METADATA_COLUMNS: '["color", "legs"]',
            executor.MAX_TOKENS: max_tokens,
        },
    )
    return sampled, {split: read_split(folder / "out", split) for split in splits}


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    return run_executor(tmp_path_factory.mktemp("sampler"))


def text(example, name):
    return [value.decode() for value in example.features.feature[name].bytes_list.value]


def test_training_pairs_are_true_and_carry_hard_captions(sampled):
    train = sampled[1]["train"]
    assert len(train) == 20
    for example in train:
        (pair_id,) = text(example, features.ID)
        assert text(example, features.CAPTION) == [f"caption {pair_id}"]
        assert example.features.feature[features.LABEL].int64_list.value == [1]
        hard = text(example, features.HARD_CAPTION)
        assert len(hard) == 3
        if int(pair_id) % 4 == 0:
            # No other picture has them: they would be known as wrong by their words.
            assert not {"own hard a", "own hard b"} & set(hard)
        assert f"caption {pair_id}" not in hard


@pytest.mark.parametrize("split", ["val", "test"])
def test_judged_pairs_are_one_true_two_random_one_hard(sampled, split):
    by_image = {}
    for example in sampled[1][split]:
        by_image.setdefault(text(example, features.IMAGE)[0], []).append(example)
    assert len(by_image) == 10
    for image, pairs in by_image.items():
        kinds = Counter(text(pair, features.PAIR_KIND)[0] for pair in pairs)
        assert kinds == {"matched": 1, "random": 2, "hard": 1}
        for pair in pairs:
            (kind,) = text(pair, features.PAIR_KIND)
            is_match = text(pair, features.CAPTION) == [image.replace("image", "caption")]
            assert is_match == (kind == "matched")
            assert pair.features.feature[features.LABEL].int64_list.value == [int(is_match)]
            assert text(pair, features.AGAINST) == (
                ["random", "hard"] if kind == "matched" else [kind]
            )
            # Also here: where a split has none of them, TFDV takes the feature to be out of use.
            assert len(text(pair, features.HARD_CAPTION)) == (3 if is_match else 0)
            assert pair.features.feature["legs"].int64_list.value == [int(image.split()[1]) % 2]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_each_pair_has_the_buckets_of_its_caption_and_picture(sampled, split):
    for example in sampled[1][split]:
        (caption,) = example.features.feature[features.CAPTION].bytes_list.value
        assert text(example, features.CAPTION_LENGTH) == [buckets.caption_length(caption).decode()]
        (width,) = example.features.feature[features.IMAGE_WIDTH].int64_list.value
        assert text(example, features.IMAGE_SIZE) == ["1-64" if width == 64 else "65-128"]


@pytest.mark.parametrize(
    ("count", "bucket"),
    [(1, b"1-50"), (50, b"1-50"), (51, b"51-100"), (400, b"201-400"), (401, b"401+")],
)
def test_caption_lengths_are_characters(count, bucket):
    assert buckets.caption_length(("é" * count).encode()) == bucket


@pytest.mark.parametrize(
    ("height", "width", "bucket"),
    [(64, 10, b"1-64"), (10, 65, b"65-128"), (1024, 1, b"513-1024"), (1, 9000, b"1025+")],
)
def test_the_size_of_a_picture_is_its_longer_side(height, width, bucket):
    assert buckets.image_size(height, width) == bucket


def test_where_a_caption_comes_from_is_kept(sampled):
    for example in sampled[1]["test"]:
        (source,) = text(example, features.CAPTION_ID)
        (caption,) = text(example, features.CAPTION)
        assert caption == (f"caption {source}" if source else caption)
        assert bool(source) != caption.startswith("own hard")


def test_the_pairs_of_each_split_are_counted(sampled):
    artifact = sampled[0]
    counts = {split: len(examples) for split, examples in sampled[1].items()}
    assert counts == {"train": 20, "val": 40, "test": 40}
    for split, count in counts.items():
        assert artifact.get_int_custom_property(f"{executor.COUNTS}_{split}") == count
    assert artifact_utils.decode_split_names(artifact.split_names) == ["train", "val", "test"]


def test_the_same_pairs_come_out_whatever_the_order_in_the_file(sampled, tmp_path):
    _, other = run_executor(tmp_path, order=-1)
    for split, examples in sampled[1].items():
        one, two = (
            sorted(example.SerializeToString(deterministic=True) for example in each)
            for each in (examples, other[split])
        )
        assert one == two


def test_a_large_split_is_drawn_from_a_part(tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "POOL_LIMIT", 4)
    _, examples = run_executor(tmp_path)
    drawn = {
        source
        for example in examples["test"]
        if text(example, features.PAIR_KIND) != ["matched"]
        for source in text(example, features.CAPTION_ID)
        if source
    }
    assert 2 <= len(drawn) <= 4


def test_a_split_without_a_pair_stops_the_executor(tmp_path):
    # Beam raises it anew as another type.
    with pytest.raises(Exception, match="split val: it has no pair"):
        run_executor(tmp_path, splits={**SPLITS, "val": []})


def test_a_worker_reads_the_pool_once():
    read = []

    def side_input():
        read.append(True)
        yield [executor.describe(raw_pair(number), ["color"]) for number in range(40)]

    counts = {
        executor.RANDOM_NEGATIVES: 1,
        executor.HARD_NEGATIVES: 1,
        executor.TRAIN_HARD_NEGATIVES: 1,
    }
    expand = executor.Expand("test", 7, ["color"], counts)
    # As Beam hands it to its threads.
    for each in (pickle.loads(pickle.dumps(expand)) for _ in range(2)):
        for number in range(3):
            assert list(each.process(raw_pair(number).SerializeToString(), side_input()))
    assert len(read) == 1


def test_captions_that_are_cut_are_told(sampled, tmp_path):
    assert not sampled[0].has_custom_property(WARNING)
    artifact, _ = run_executor(tmp_path, max_tokens=1)
    warning = artifact.get_string_custom_property(WARNING)
    assert "caption.max_tokens = 1 cuts" in warning
    for split, count in (("train", 20), ("val", 10), ("test", 10)):
        assert f"{count} of {count} captions in split {split} (the longest has 2 words)" in warning


def test_says_which_splits_hold_what_the_model_cannot_read():
    splits = {"test": CaptionWords(35, 60, 2, 9), "train": CaptionWords(100, 48, 0, 0)}
    warning = caption_words.warning(splits, 48)
    assert "2 of 35 captions in split test (the longest has 60 words)" in warning
    assert "no word is in 9 of 35 captions in split test" in warning
    assert "train" not in warning
    assert caption_words.warning({"train": splits["train"]}, 48) == ""
