"""Captions in Korean, Japanese, German and Arabic score as English ones do, over the served path.

The same pictures are captioned in each language. The raw pairs go through Transform, a small model
learns from all of them, and the embedded server answers with it over REST and gRPC. The languages
have no word in common but for chance, so each is learned from its own captions; a training for each
would take a minute of a core more.
"""

import base64
import dataclasses
import io
import json
import random
import unicodedata

import httpx
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from PIL import Image, ImageDraw

from core import features
from modules.preprocessing import captions
from serving.client import open_model

pytestmark = pytest.mark.slow

COLORS = {"red": (220, 30, 30), "blue": (30, 60, 220), "green": (20, 150, 40), "white": (250,) * 3}
SHAPES = ("circle", "square", "triangle")
COMBINATIONS = [(color, shape) for shape in SHAPES for color in COLORS]
SIZE, MAX_TOKENS = 32, 16
SETTINGS = (
    f"image.size={SIZE}",
    f"caption.max_tokens={MAX_TOKENS}",
    "trainer.epochs=5",
    "trainer.batch_size=12",
    "trainer.learning_rate=0.01",
    "trainer.word_dropout=0",
    "model.image_dropout=0",
    "model.dropout=0",
    "model.embedding_dim=16",
    "model.recurrent_units=16",
    "model.word_dim=16",
)
TRAIN, VAL, TEST = 120, 12, 36
NAME = "dexmatch"


@dataclasses.dataclass(frozen=True)
class Language:
    """Words and sentences of one language.

    Attributes:
      frames: sentences, of which the first is asked for; `adjective` and `noun` stand for words.
      nouns: of each shape.
      adjectives: of each shape's gender, the words for each colour.
    """

    frames: tuple[str, ...]
    nouns: tuple[str, str, str]
    adjectives: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]

    def caption(self, color: str, shape: str, frame: int = 0) -> str:
        """A sentence about a picture, as NFC."""
        index = SHAPES.index(shape)
        words = {
            "noun": self.nouns[index],
            "adjective": self.adjectives[index][list(COLORS).index(color)],
        }
        return unicodedata.normalize("NFC", self.frames[frame % len(self.frames)].format(**words))


_ENGLISH = ("red", "blue", "green", "white")
_GERMAN = ("rotes", "blaues", "grünes", "weißes")
_KOREAN = ("빨간", "파란", "초록", "하얀")
_JAPANESE = ("赤い", "青い", "グリーンの", "白い")
_ARABIC = ("أحمر", "أزرق", "أخضر", "أبيض")
LANGUAGES = {
    "english": Language(
        (
            "there is a {adjective} {noun} here",
            "a {adjective} {noun}",
            "Look: a {noun}, and it is {adjective}!",
        ),
        SHAPES,
        (_ENGLISH,) * 3,
    ),
    "german": Language(
        (
            "hier schwebt ein {adjective} {noun}",
            "ein {adjective} {noun}",
            "Schön: ein {noun}, und zwar ein {adjective}!",
        ),
        ("Kreis", "Viereck", "Dreieck"),
        (("roter", "blauer", "grüner", "weißer"), _GERMAN, _GERMAN),
    ),
    "korean": Language(
        (
            "여기 {adjective} {noun}가 있다",
            "{adjective} {noun}",
            "보세요, {adjective} 색의 {noun}입니다!",
        ),
        ("동그라미", "네모", "세모"),
        (_KOREAN,) * 3,
    ),
    "japanese": Language(
        (
            "ここに{adjective}{noun}があります",
            "{adjective}{noun}",
            "{adjective}{noun}が一つ、ぽつんと。",
        ),
        ("丸", "四角", "三角"),
        (_JAPANESE,) * 3,
    ),
    "arabic": Language(
        (
            "هنا {noun} {adjective}",
            "{noun} {adjective}",
            "في الصورة شَكْلٌ مُلَوَّنٌ: {noun} {adjective}!",
        ),
        ("دائرة", "مربع", "مثلث"),
        (("حمراء", "زرقاء", "خضراء", "بيضاء"), _ARABIC, _ARABIC),
    ),
}
OTHERS = tuple(name for name in LANGUAGES if name != "english")

WORDS = [
    ("Hier schwebt ein weißes Dreieck.", "hier schwebt ein weißes dreieck"),
    ("SCHÖN: ein grüner Kreis!", "schön ein grüner kreis"),
    ("여기 하얀 동그라미가 있다.", "여기 하얀 동그라미가 있다"),
    ("보세요, 초록 색의 네모입니다!", "보세요 초록 색의 네모입니다"),
    # Written without spaces, each sign is a word; so is the mark of a long vowel.
    ("ここに青い四角があります。", "こ こ に 青 い 四 角 が あ り ま す"),
    ("グリーンの丸が一つ、ぽつんと", "グ リ ー ン の 丸 が 一 つ ぽ つ ん と"),
    ("هنا مثلث أحمر.", "هنا مثلث أحمر"),
    ("في الصورة شَكْلٌ مُلَوَّنٌ: دائرة زرقاء", "في الصورة شَكْلٌ مُلَوَّنٌ دائرة زرقاء"),
]
"""A caption, and the words in it."""


def _picture(color: str, shape: str, generator: random.Random) -> bytes:
    image = Image.new("RGB", (SIZE, SIZE), (120, 120, 120))
    size = generator.randint(16, 22)
    left, top = (generator.randint(2, SIZE - 2 - size) for _ in range(2))
    box = (left, top, left + size, top + size)
    draw = ImageDraw.Draw(image)
    if shape == "circle":
        draw.ellipse(box, COLORS[color])
    elif shape == "square":
        draw.rectangle(box, COLORS[color])
    else:
        corners = [(left, top + size), (left + size, top + size), (left + size // 2, top)]
        draw.polygon(corners, COLORS[color])
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _pictures(count: int, seed: int) -> list[bytes]:
    """Each combination in turn."""
    generator = random.Random(seed)
    return [_picture(*COMBINATIONS[n % len(COMBINATIONS)], generator) for n in range(count)]


def _rows(language: Language, pictures: list[bytes], label: int = 1) -> list[dict]:
    """A raw pair for each picture; the captions of wrong ones are of the next combination."""
    rows = []
    for number, picture in enumerate(pictures):
        named = COMBINATIONS[(number + 1 - label) % len(COMBINATIONS)]
        group = f"{number % len(COMBINATIONS)}"
        rows.append(
            {
                features.IMAGE: [picture],
                features.CAPTION: [language.caption(*named, frame=number // 12).encode()],
                features.GROUP: [group.encode()],
                features.LABEL: [label],
            }
        )
    return rows


@pytest.fixture(scope="module")
def trained(runs, tmp_path_factory):
    """A folder with a transform graph, the transformed pairs, and the pushed model."""
    folder = tmp_path_factory.mktemp("languages")
    learned, watched = _pictures(TRAIN, seed=1), _pictures(VAL, seed=2)
    files = {
        "pairs": [row for each in LANGUAGES.values() for row in _rows(each, learned)],
        "watched": [
            row
            for each in LANGUAGES.values()
            for label in (0, 1)
            for row in _rows(each, watched, label)
        ],
    }
    runs.write_transformed(folder, files, SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs.model.backbones, "load_backbone", runs.tiny_backbone)
        runs.train(folder, folder / NAME, *SETTINGS, export=True, eval_files="watched")
    (folder / NAME / "serving").rename(folder / NAME / "1")
    return folder


@pytest.fixture(scope="module")
def served(trained, test_module):
    """The embedded server on the model."""
    support = test_module("serving/rest_support.py")
    with support.serving_both({NAME: trained / NAME}) as serving:
        yield serving


@pytest.fixture(scope="module")
def score(served):
    """Asks over gRPC."""
    return open_model(f"grpc://{served.grpc_address}", NAME).score


@pytest.fixture(scope="module")
def picture():
    """One to ask about."""
    return _pictures(1, seed=3)[0]


@pytest.fixture(scope="module")
def ask(served, picture):
    """The probability of a caption over REST, its letters as UTF-8 or escaped."""
    image = {"b64": base64.b64encode(picture).decode()}

    def post(caption: str, escaped: bool = False) -> float:
        body = {"inputs": {"image": [image], "caption": [caption]}}
        answer = httpx.post(
            f"{served.url}/v1/models/{NAME}:predict",
            content=json.dumps(body, ensure_ascii=escaped).encode(),
            trust_env=False,
        )
        (probability,) = answer.raise_for_status().json()["outputs"]
        return probability

    return post


def test_transform_knows_every_word_of_the_data(trained):
    told = tft.TFTransformOutput(str(trained / "graph"))
    vocabulary = told.vocabulary_by_name(captions.VOCABULARY)
    texts = [
        row[features.CAPTION][0]
        for language in LANGUAGES.values()
        for row in _rows(language, [b""] * TRAIN)
    ]
    (records,) = tf.data.TFRecordDataset(str(trained / "pairs.gz"), "GZIP").batch(len(texts))
    spec = {features.TOKENS: tf.io.FixedLenFeature([MAX_TOKENS], tf.int64)}
    ids = tf.io.parse_example(records, spec)[features.TOKENS].numpy()
    assert captions.OOV_ID not in ids
    found = [[vocabulary[each - captions.FIRST_WORD_ID] for each in row if each] for row in ids]
    expected = captions.words(tf.constant(texts)).to_list()
    assert max(map(len, expected)) <= MAX_TOKENS
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(("caption", "expected"), WORDS)
def test_no_word_is_lost_split_or_merged(caption, expected):
    (found,) = captions.words(tf.constant([caption])).to_list()
    expected = unicodedata.normalize("NFKC", expected).split()
    assert [word.decode() for word in found] == expected


@pytest.fixture(scope="module")
def wins(score):
    """By language, the share of (picture, wrong caption) in which the right one gets more."""
    pictures = [picture for picture in _pictures(TEST, seed=4) for _ in COMBINATIONS]
    own = np.arange(TEST) % len(COMBINATIONS)
    is_wrong = np.arange(len(COMBINATIONS)) != own[:, np.newaxis]
    found = {}
    for name, language in LANGUAGES.items():
        asked = [language.caption(*each) for each in COMBINATIONS]
        scores = np.array(score(pictures, asked * TEST)).reshape(TEST, len(asked))
        right = scores[np.arange(TEST), own][:, np.newaxis] > scores
        found[name] = float(right[is_wrong].mean())
    return found


@pytest.mark.parametrize("name", OTHERS)
def test_a_caption_beats_wrong_ones_as_in_english(wins, name):
    assert wins[name] > 0.9, wins
    assert abs(wins[name] - wins["english"]) < 0.05, wins


@pytest.mark.parametrize("name", LANGUAGES)
def test_rest_and_grpc_read_the_same_letters(score, ask, picture, name):
    asked = [LANGUAGES[name].caption(*each) for each in COMBINATIONS[::5]]
    expected = score([picture] * len(asked), asked)
    assert len({round(float(each), 3) for each in expected}) > 1
    for caption, probability in zip(asked, expected, strict=True):
        assert ask(caption) == ask(caption, escaped=True)
        assert ask(caption) == pytest.approx(probability, abs=1e-5)


@pytest.mark.parametrize("form", ["NFD", "NFKD"])
@pytest.mark.parametrize(("caption", "_words"), WORDS)
def test_it_does_not_matter_how_letters_are_composed(ask, caption, _words, form):
    composed, other = (unicodedata.normalize(each, caption) for each in ("NFC", form))
    assert ask(other) == ask(other, escaped=True) == ask(composed)


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("ＨＩＥＲ schwebt ein ＲＯＴＥＲ Ｋｒｅｉｓ", "hier schwebt ein roter Kreis"),
        ("ein GRU\u0308NES Dreieck, ein WEI\u1e9eES", "ein grünes Dreieck, ein weißes"),
        ("여기　빨간　네모가　있다", "여기 빨간 네모가 있다"),
        ("ここにｸﾞﾘｰﾝの丸があります｡", "ここにグリーンの丸があります。"),
        ("ここに 赤い 四角が あります", "ここに赤い四角があります"),
        ("هنا مثلث ﺃﺣﻤﺮ", "هنا مثلث أحمر"),
        # What is not seen: a soft hyphen, marks of the direction.
        ("hier schwebt ein rotes Drei\u00adeck", "hier schwebt ein rotes Dreieck"),
        ("\u200fهنا مثلث أحمر\u200e", "هنا مثلث أحمر"),
        # Marks on a letter in another order, as keyboards put them.
        ("شكل مُلَو\u0651\u064eن", "شكل مُلَو\u064e\u0651ن"),
    ],
)
def test_it_does_not_matter_how_letters_are_typed(ask, typed, plain):
    assert ask(typed) == ask(typed, escaped=True) == ask(plain)


@pytest.mark.parametrize(
    ("caption", "other"),
    [
        # Vowels that are written are letters of the word: who leaves them out writes another one.
        ("شَكْلٌ", "شكل"),
        ("weißes", "weisses"),
        ("grünes", "grunes"),
    ],
)
def test_other_words_stay_other_words(caption, other):
    one, two = captions.words(tf.constant([caption, other])).to_list()
    assert one != two
