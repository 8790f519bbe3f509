"""Captions in Korean, Japanese, German and Arabic score as English ones do, over the served path.

The same pictures are captioned in each language. From the raw pairs Transform makes one vocabulary;
then each language has a training of its own, on its own captions alone, whose exported model answers
over REST and gRPC.
"""

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
SIZE = 32
SETTINGS = (
    f"image.size={SIZE}",
    "caption.max_tokens=16",
    "trainer.epochs=4",
    "trainer.batch_size=12",
    "trainer.learning_rate=0.01",
    "trainer.word_dropout=0",
    "model.image_dropout=0",
    "model.dropout=0",
    "model.embedding_dim=16",
    "model.recurrent_units=16",
    "model.word_dim=16",
)
TRAIN, VAL, TEST = 384, 24, 36


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
    ("german", "Hier schwebt ein weißes Dreieck.", "hier schwebt ein weißes dreieck"),
    ("german", "SCHÖN: ein grüner Kreis!", "schön ein grüner kreis"),
    ("korean", "여기 하얀 동그라미가 있다.", "여기 하얀 동그라미가 있다"),
    ("korean", "보세요, 초록 색의 네모입니다!", "보세요 초록 색의 네모입니다"),
    # Written without spaces, each sign is a word; so is the mark of a long vowel.
    ("japanese", "ここに青い四角があります。", "こ こ に 青 い 四 角 が あ り ま す"),
    ("japanese", "グリーンの丸が一つ、ぽつんと", "グ リ ー ン の 丸 が 一 つ ぽ つ ん と"),
    ("arabic", "هنا مثلث أحمر.", "هنا مثلث أحمر"),
    ("arabic", "في الصورة شَكْلٌ مُلَوَّنٌ: دائرة زرقاء", "في الصورة شَكْلٌ مُلَوَّنٌ دائرة زرقاء"),
]
"""Language, caption, and the words in it."""

SPELLINGS = [
    *((name, caption, form) for name, caption, _ in WORDS for form in ("NFD", "NFKD")),
]


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
def trained(test_module, tmp_path_factory):
    """A folder with a transform graph, transformed pairs, and a pushed model for each language."""
    runs = test_module("modules/training_runs.py")
    folder = tmp_path_factory.mktemp("languages")
    learned, watched = _pictures(TRAIN, seed=1), _pictures(VAL, seed=2)
    files = {"pairs": []}
    for name, language in LANGUAGES.items():
        files[f"{name}-train"] = _rows(language, learned)
        files[f"{name}-val"] = _rows(language, watched) + _rows(language, watched, label=0)
        files["pairs"] += files[f"{name}-train"]
    runs.write_transformed(folder, files, SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs.model.backbones, "load_backbone", runs.tiny_backbone)
        for name in LANGUAGES:
            runs.train(
                folder,
                folder / name,
                *SETTINGS,
                export=True,
                train_files=f"{name}-train",
                eval_files=f"{name}-val",
            )
            (folder / name / "serving").rename(folder / name / "1")
    return folder


@pytest.fixture(scope="module")
def served(trained, test_module):
    """The embedded server on all of the models; each is called like its language."""
    support = test_module("serving/rest_support.py")
    with support.serving_both({name: trained / name for name in LANGUAGES}) as serving:
        yield serving


@pytest.fixture(scope="module")
def picture():
    """One to ask about."""
    return _pictures(1, seed=3)[0]


@pytest.fixture(scope="module")
def ask(served, picture):
    """The probability of a caption over REST, its letters as UTF-8 or escaped."""

    def post(name: str, caption: str, escaped: bool = False) -> float:
        body = {"inputs": {"image": [{"b64": _base64(picture)}], "caption": [caption]}}
        answer = httpx.post(
            f"{served.url}/v1/models/{name}:predict",
            content=json.dumps(body, ensure_ascii=escaped).encode(),
            trust_env=False,
        )
        (probability,) = answer.raise_for_status().json()["outputs"]
        return probability

    return post


def _base64(content: bytes) -> str:
    import base64

    return base64.b64encode(content).decode()


def _words_of(trained, rows) -> list[list[str]]:
    vocabulary = tft.TFTransformOutput(str(trained / "graph")).vocabulary_by_name(
        captions.VOCABULARY
    )
    names = {n + captions.FIRST_WORD_ID: word.decode() for n, word in enumerate(vocabulary)}
    return [[names.get(each, "?") for each in row if each != captions.PADDING_ID] for row in rows]


@pytest.mark.parametrize("name", LANGUAGES)
def test_transform_knows_every_word_of_the_data(trained, name):
    spec = {features.TOKENS: tf.io.FixedLenFeature([16], tf.int64)}
    records = tf.data.TFRecordDataset(str(trained / f"{name}-train.gz"), "GZIP")
    rows = [tf.io.parse_single_example(each, spec)[features.TOKENS].numpy() for each in records]
    language = LANGUAGES[name]
    for number, found in enumerate(_words_of(trained, rows)):
        combination = COMBINATIONS[number % len(COMBINATIONS)]
        caption = language.caption(*combination, frame=number // 12)
        (expected,) = captions.words(tf.constant([caption])).to_list()
        assert found == [word.decode() for word in expected]


@pytest.mark.parametrize(("name", "caption", "expected"), WORDS)
def test_no_word_is_lost_split_or_merged(trained, name, caption, expected):
    (found,) = captions.words(tf.constant([caption])).to_list()
    expected = unicodedata.normalize("NFKC", expected).split()
    assert [word.decode() for word in found] == expected


@pytest.mark.parametrize("name", OTHERS)
def test_a_caption_beats_wrong_ones_as_in_english(served, name):
    pictures = _pictures(TEST, seed=4)
    found = {each: _wins(served, each, pictures) for each in ("english", name)}
    assert found[name] > 0.9, found
    assert abs(found[name] - found["english"]) < 0.05, found


def _wins(served, name: str, pictures: list[bytes]) -> float:
    """The share of (picture, wrong caption) in which the right caption gets more, over gRPC."""
    asked = [LANGUAGES[name].caption(*each) for each in COMBINATIONS]
    model = open_model(f"grpc://{served.grpc_address}", name)
    scores = np.array(
        model.score(np.repeat(np.array(pictures, object), len(asked)).tolist(), asked * TEST)
    ).reshape(TEST, len(asked))
    own = np.arange(TEST) % len(asked)
    right = scores[np.arange(TEST), own][:, np.newaxis]
    is_wrong = np.arange(len(asked)) != own[:, np.newaxis]
    return float((right > scores)[is_wrong].mean())


@pytest.mark.parametrize("name", LANGUAGES)
def test_rest_and_grpc_read_the_same_letters(served, ask, picture, name):
    model = open_model(f"grpc://{served.grpc_address}", name)
    every = [LANGUAGES[name].caption(*each) for each in COMBINATIONS]
    expected = model.score([picture] * len(every), every)
    assert len({round(float(each), 6) for each in expected}) > 1
    for caption, probability in list(zip(every, expected, strict=True))[:3]:
        assert ask(name, caption) == ask(name, caption, escaped=True)
        assert ask(name, caption) == pytest.approx(probability, abs=1e-5)


@pytest.mark.parametrize(("name", "caption", "form"), SPELLINGS)
def test_it_does_not_matter_how_letters_are_composed(ask, name, caption, form):
    composed, other = (unicodedata.normalize(each, caption) for each in ("NFC", form))
    assert ask(name, other) == ask(name, other, escaped=True) == ask(name, composed)


@pytest.mark.parametrize(
    ("name", "typed", "plain"),
    [
        ("german", "ＨＩＥＲ schwebt ein ＲＯＴＥＲ Ｋｒｅｉｓ", "hier schwebt ein roter Kreis"),
        ("german", "ein GRU\u0308NES Dreieck, ein WEI\u1e9eES", "ein grünes Dreieck, ein weißes"),
        ("korean", "여기　빨간　네모가　있다", "여기 빨간 네모가 있다"),
        ("japanese", "ここにｸﾞﾘｰﾝの丸があります｡", "ここにグリーンの丸があります。"),
        ("japanese", "ここに 赤い 四角が あります", "ここに赤い四角があります"),
        ("arabic", "هنا مثلث ﺃﺣﻤﺮ", "هنا مثلث أحمر"),
        # Marks on a letter in another order, as keyboards put them.
        ("arabic", "شكل مُلَو\u0651\u064eن", "شكل مُلَو\u064e\u0651ن"),
    ],
)
def test_it_does_not_matter_how_letters_are_typed(ask, name, typed, plain):
    assert ask(name, typed) == ask(name, typed, escaped=True) == ask(name, plain)


@pytest.mark.parametrize(
    ("name", "caption", "other"),
    [
        # Vowels that are written are letters of the word: who leaves them out writes another one.
        ("arabic", "شَكْلٌ", "شكل"),
        ("german", "weißes", "weisses"),
        ("german", "grünes", "grunes"),
    ],
)
def test_other_words_stay_other_words(name, caption, other):
    one, two = captions.words(tf.constant([caption, other])).to_list()
    assert one != two
