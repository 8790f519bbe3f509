"""Fetching Pokémon from a server on loopback: whole, with faults, and again."""

import collections
import csv
import re
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from core.errors import DexmatchError
from core.words import count_words
from data.columns import Columns
from data.importer import import_pairs
from data.pictures import MAX_PIXELS
from data.pokemon.client import Client, Manners, api_address
from data.pokemon.fetching import fetch
from data.pokemon.language import Language
from data.pokemon.reader import GROUP_COLUMN
from data.records import Reason, Reject

QUICK = Manners(interval_s=0, answer_s=5, attempts=2, first_pause_s=0.01, failures=100)
IMPATIENT = Manners(interval_s=0, answer_s=2, attempts=1, failures=100)
COLUMNS = Columns(image="image", caption="caption", group=GROUP_COLUMN)
SHARED = Path(__file__).parents[3] / "shared" / "data"
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def server(pokeapi, pokeapi_server):
    pokeapi.fill(pokeapi_server)
    return pokeapi_server


def read(server, folder, language=Language.EN, limit=None, manners=QUICK):
    """Fetches; gives the records and rejects, and the remarks."""
    reader = fetch(api_address(server.api), folder, language, limit, manners)
    return list(reader.records(with_images=True)), list(reader.remarks)


def captions(records):
    return [each.fields["caption"] for each in records]


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_records_have_the_columns_of_the_study_project(server, tmp_path):
    records, remarks = read(server, tmp_path)
    assert [dict(each.fields) for each in records][::2] == [
        {
            "image": "images/0001.png",
            "caption": "A green four-legged grass and poison type Pokémon, the Leaf Pokémon. It "
            "sleeps in the sun.",
            "species_id": 1,
            "name": "Leafling",
            "evolution_chain": 1,
            "primary_type": "grass",
            "secondary_type": "poison",
            "color": "green",
            "shape": "quadruped",
            "habitat": "grassland",
            "generation": 1,
            "legendary": 0,
        },
        {
            "image": "images/0004.png",
            "caption": "A red four-legged fire type Pokémon, the Ember Pokémon. It glows at night.",
            "species_id": 4,
            "name": "Emberling",
            "evolution_chain": 2,
            "primary_type": "fire",
            "secondary_type": None,
            "color": "red",
            "shape": "quadruped",
            "habitat": "grassland",
            "generation": 1,
            "legendary": 1,
        },
    ]
    assert remarks == []


@pytest.mark.parametrize(
    ("language", "first", "last"),
    [
        (
            Language.KO,
            "초록 빛깔의 네 발로 걷는 풀·독 타입 포켓몬, 잎포켓몬. 양지에서 잠을 잔다.",
            "빨강 빛깔의 네 발로 걷는 불꽃 타입 포켓몬, 불씨포켓몬.",
        ),
        (
            Language.JA,
            "緑色の四つ足のくさ・どくタイプのポケモン、はっぱポケモン。日なたでねむる。平和だ。",
            "赤色の四つ足のほのおタイプのポケモン、ひだねポケモン。",
        ),
        (
            Language.DE,
            "Ein vierbeiniges Pokémon in Grün mit den Typen Pflanze und Gift, Kategorie "
            "Blatt-Pokémon. Es schläft in der Sonne.",
            "Ein vierbeiniges Pokémon in Rot vom Typ Feuer.",
        ),
    ],
)
def test_another_language_has_its_own_words_and_the_same_metadata(
    server, tmp_path, language, first, last
):
    english, _ = read(server, tmp_path)
    records, remarks = read(server, tmp_path, language)
    assert captions(records)[::2] == [first, last]
    for ours, theirs in zip(records, english, strict=True):
        differ = {name for name in ours.fields if ours.fields[name] != theirs.fields[name]}
        assert differ == {"caption", "name"}
    name = language.english_name
    assert f"PokeAPI has no flavor text in {name} for 1 species, whose captions do without" in (
        remarks
    )
    without_genus = f"PokeAPI has no genus in {name} for 1 species, whose captions do without"
    assert (without_genus in remarks) == (language is Language.DE)


def test_another_language_asks_nobody(server, tmp_path):
    read(server, tmp_path)
    server.asked.clear()
    read(server, tmp_path, Language.KO)
    assert not server.asked


def test_everything_is_asked_for_once_and_a_few_things_at_a_time(
    server, pokeapi, tmp_path, monkeypatch
):
    many = range(1, 40)
    pokeapi.put(server, "pokemon-species", pokeapi.species_list(*many))
    for number in many:
        pokeapi.put(server, f"pokemon-species/{number}", pokeapi.species(number, pokeapi.LEAFLING))
        pokeapi.put(server, f"pokemon/{number}", pokeapi.pokemon(number))
        server.answers[f"/art/{number}.png"] = pokeapi.picture(number)
    at_a_time = collections.Counter()
    waiting = set()
    get = Client.get

    async def counted(client, address, *arguments):
        waiting.add(address)
        at_a_time[len(waiting)] += 1
        try:
            return await get(client, address, *arguments)
        finally:
            waiting.remove(address)

    monkeypatch.setattr(Client, "get", counted)
    records, _ = read(server, tmp_path)
    assert [each.fields["species_id"] for each in records] == list(many)
    assert set(server.asked.values()) == {1}
    assert len(server.asked) == 1 + 3 * 39 + 3  # Of shapes, habitats and chains none.
    assert max(at_a_time) == 4


def test_absolute_addresses_are_as_good_as_paths(server, pokeapi, tmp_path):
    with_paths, _ = read(server, tmp_path / "paths")
    pokeapi.with_absolute_addresses(server)
    assert "http" in str(server.answers["/api/v2/pokemon/1/"])
    assert read(server, tmp_path / "absolute")[0] == with_paths


def test_a_limit_takes_the_first_ones(server, tmp_path):
    records, _ = read(server, tmp_path, limit=2)
    assert [each.fields["species_id"] for each in records] == [1, 2]
    assert server.asked["/api/v2/pokemon-species/4/"] == 0
    assert server.asked["/api/v2/pokemon-color/8/"] == 0  # Nobody shown is red.


def test_nothing_that_is_not_known_yet_stands_in_a_caption(server, pokeapi, tmp_path):
    unknown = dict.fromkeys(("color", "shape", "habitat", "evolution_chain"))
    pokeapi.put(server, "pokemon-species/1", pokeapi.species(1, pokeapi.LEAFLING, **unknown))
    records, remarks = read(server, tmp_path, limit=1)
    assert captions(records) == [
        "A grass and poison type Pokémon, the Leaf Pokémon. It sleeps in the sun."
    ]
    assert [remark.split(" in ")[0] for remark in remarks] == [
        "PokeAPI has no colour",
        "PokeAPI has no shape",
    ]


FAULTS = {
    "no such species": ("/api/v2/pokemon-species/2/", "missing", "HTTP status 404"),
    "no such pokemon": ("/api/v2/pokemon/2/", "missing", "HTTP status 404"),
    "no such picture": ("/art/2.png", "missing", "HTTP status 404"),
    "html": ("/api/v2/pokemon/2/", "html", "answered with HTML instead of JSON; asked 2 times"),
    "cut off": ("/api/v2/pokemon/2/", "cut_off", "no whole answer"),
    "picture is html": ("/art/2.png", "html", r"\(no picture format that dexmatch reads\)"),
    "picture cut off": ("/art/2.png", "cut_off", "no whole answer"),
    "endless": ("/api/v2/pokemon/2/", "endless", "answered with more than 16,777,216 bytes"),
    "bomb": ("/art/2.png", "PACKED_BOMB", "answered with more than 16,777,216 bytes"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_species_that_cannot_be_had_is_a_reject(server, pokeapi, tmp_path, name):
    path, fault, message = FAULTS[name]
    server.faults[path] = 9 * [
        pokeapi.answering(b"", 404) if fault == "missing" else getattr(pokeapi, fault)
    ]
    (first, reject, last), _ = read(server, tmp_path)
    assert (first.fields["species_id"], last.fields["species_id"]) == (1, 4)
    assert isinstance(reject, Reject)
    assert (reject.origin.file, reject.origin.row) == ("pokemon-species", 2)
    assert (reject.reason, reject.image) == (Reason.NOT_FETCHED, "images/0002.png")
    assert reject.detail.startswith(f"{server.origin}{path}: ")
    assert re.search(message, reject.detail)


def huge(pokeapi):
    """A PNG whose header promises more pixels than anybody takes."""
    content = bytearray(pokeapi.picture(1))
    side = int(MAX_PIXELS**0.5) + 1
    content[16:24] = struct.pack(">II", side, side)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


@pytest.mark.parametrize(
    ("spoil", "message", "times"),
    [
        (lambda pokeapi: pokeapi.picture(2)[:60], r"not to be used \(.*\); asked 2 times", 2),
        (lambda pokeapi: b"", r"\(empty file\); asked 2 times", 2),
        (huge, r"7072 x 7072 pixels, more than 50,000,000\)$", 1),
        (lambda pokeapi: pokeapi.encoded((3, 3)), r"3 x 3 pixels, a side is shorter than 8\)$", 1),
    ],
)
def test_a_picture_counts_once_it_is_decoded(server, pokeapi, tmp_path, spoil, message, times):
    server.answers["/art/2.png"] = spoil(pokeapi)
    (_, reject, _), _ = read(server, tmp_path)
    assert re.search(message, reject.detail)
    assert server.asked["/art/2.png"] == times
    assert not list(tmp_path.rglob("0002.png"))


@pytest.mark.parametrize("path", ["/api/v2/pokemon-species/2/", "/api/v2/type/4/", "/art/2.png"])
@pytest.mark.parametrize("fault", ["html", "cut_off", "hanging_up"])
def test_a_fault_that_passes_leaves_no_trace(server, pokeapi, tmp_path, path, fault):
    whole, _ = read(server, tmp_path / "whole")
    server.asked.clear()
    server.faults[path] = [getattr(pokeapi, fault)]
    assert read(server, tmp_path / "faulty")[0] == whole
    assert server.asked[path] == 2


def test_a_broken_picture_is_asked_for_again(server, pokeapi, tmp_path):
    server.faults["/art/2.png"] = [pokeapi.answering(pokeapi.picture(2)[:60])]
    records, _ = read(server, tmp_path)
    assert len(captions(records)) == 3
    assert [path.read_bytes() for path in tmp_path.rglob("0002.png")] == [pokeapi.picture(2)]


def test_a_server_that_is_slow_is_not_waited_for(server, pokeapi, tmp_path):
    server.faults["/api/v2/pokemon/2/"] = [pokeapi.slow]
    (_, reject, _), _ = read(server, tmp_path, manners=IMPATIENT)
    assert "no whole answer within 2 s" in reject.detail


@pytest.mark.parametrize(
    ("artwork", "message"),
    [
        (None, "names no official artwork"),
        ("file:///etc/passwd", "neither https nor on 127.0.0.1"),
        ("http://169.254.169.254/latest", "neither https nor on 127.0.0.1"),
        ("https://x:y/", "no address"),
    ],
)
def test_a_picture_elsewhere_is_a_reject(server, pokeapi, tmp_path, artwork, message):
    pokeapi.put(server, "pokemon/2", pokeapi.pokemon(2, artwork=artwork))
    (_, reject, _), _ = read(server, tmp_path)
    assert message in reject.detail
    pokeapi.put(server, "pokemon/2", pokeapi.pokemon(2))
    records, _ = read(server, tmp_path)  # What was of no use is not kept.
    assert len(captions(records)) == 3


@pytest.mark.parametrize(
    ("resource", "answer", "message"),
    [
        ("pokemon-species", None, "HTTP status 404; check --api"),
        ("pokemon-species", [], "Input should be an object; check --api"),
        ("pokemon-species", {"results": [], "next": None}, "the API lists none; check --api"),
        ("pokemon-species", b"<html>", "HTML instead of JSON; asked 2 times; check --api"),
        ("type/4", None, "HTTP status 404; check --api"),
        ("pokemon-color/5", {}, "names: Field required; check --api"),
    ],
)
def test_what_all_captions_need_ends_the_run(server, pokeapi, tmp_path, resource, answer, message):
    if answer is None:
        del server.answers[f"/api/v2/{resource}/"]
    else:
        pokeapi.put(server, resource, answer)
    with pytest.raises(DexmatchError, match=message) as error:
        read(server, tmp_path)
    assert "\n" not in str(error.value)


def test_a_server_that_asks_for_hours_ends_the_run_and_keeps_what_was_fetched(
    server, pokeapi, tmp_path
):
    server.faults["/art/4.png"] = [pokeapi.answering(b"", 429, Retry_After="7200")]
    with pytest.raises(DexmatchError, match=r"left alone for 7,200 s \(Retry-After\)"):
        read(server, tmp_path)
    before = dict(server.asked)
    records, _ = read(server, tmp_path)
    assert len(captions(records)) == 3
    assert server.asked["/art/4.png"] == 2
    assert server.asked["/api/v2/pokemon-species/"] == before["/api/v2/pokemon-species/"] == 1


def test_without_a_network_there_is_one_line(tmp_path, free_port):
    api = api_address(f"http://127.0.0.1:{free_port}/api/v2")
    with pytest.raises(DexmatchError, match="127.0.0.1: cannot be reached") as error:
        fetch(api, tmp_path, Language.EN)
    assert "\n" not in str(error.value)
    assert files(tmp_path) == []


@pytest.mark.parametrize("damage", [b"", b"damaged", None])
def test_a_damaged_file_is_fetched_again(server, tmp_path, damage):
    whole, _ = read(server, tmp_path)
    kept = files(tmp_path)
    for path in kept:
        # The beginning of the file, where nothing else is said.
        path.write_bytes(path.read_bytes()[:40] if damage is None else damage)
    once = collections.Counter(server.asked)
    assert read(server, tmp_path)[0] == whole
    assert server.asked == once + once
    assert files(tmp_path) == kept


def test_what_was_rejected_is_tried_again(server, pokeapi, tmp_path):
    server.faults["/art/2.png"] = [pokeapi.answering(b"", 404)]
    read(server, tmp_path)
    server.asked.clear()
    records, _ = read(server, tmp_path)
    assert len(captions(records)) == 3
    # The answer that names the picture as well: it may name another one by now.
    assert server.asked == {"/api/v2/pokemon/2/": 1, "/art/2.png": 1}


def test_answers_of_two_apis_do_not_mix(server, pokeapi, tmp_path):
    read(server, tmp_path)
    with pokeapi.running() as other:
        pokeapi.fill(other)
        pokeapi.put(other, "pokemon-species", pokeapi.species_list(4))
        records, _ = read(other, tmp_path)
    assert [each.fields["species_id"] for each in records] == [4]


def test_a_folder_that_cannot_be_written_is_told(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DexmatchError, match="Not a directory"):
        read(server, tmp_path / "file" / "kept")


FETCH = """
import sys
from pathlib import Path
from data.pokemon.client import Client, Manners, api_address
from data.pokemon.fetching import fetch
from data.pokemon.language import Language
fetch(api_address(sys.argv[1]), Path(sys.argv[2]), Language.EN, manners=Manners(interval_s=0))
"""


def test_a_run_after_a_kill_asks_for_what_is_missing(server, pokeapi, tmp_path):
    whole, _ = read(server, tmp_path / "whole")
    server.asked.clear()
    server.faults["/art/4.png"] = [pokeapi.slow]
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH, server.api, str(tmp_path / "kept")], cwd=REPOSITORY
    )

    def whole_files():
        return [path for path in files(tmp_path / "kept") if path.suffix != ".part"]

    # All of the other species, and that picture.
    wait_until(lambda: len(whole_files()) == 9 and server.asked["/art/4.png"])
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = collections.Counter(server.asked)
    assert read(server, tmp_path / "kept")[0] == whole
    words = [f"pokemon-color/{number}" for number in (5, 8)]
    words += [f"type/{number}" for number in (4, 10, 12)]
    missing = {"/art/4.png", *(f"/api/v2/{word}/" for word in words)}
    assert server.asked - before == dict.fromkeys(missing, 1)


def wait_until(is_so):
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_imports_with_rejects_in_the_account(server, pokeapi, tmp_path, in_process, read_pairs):
    server.faults["/art/2.png"] = [pokeapi.answering(b"", 404)]
    reader = fetch(api_address(server.api), tmp_path / "kept", Language.EN, manners=QUICK)
    said = []
    imported = import_pairs(
        reader, tmp_path / "out", columns=COLUMNS, max_rejects="1", say=said.append
    )
    assert (imported.read, imported.imported, imported.rejected) == (3, 2, 1)
    assert imported.rejected_by_reason == {"not_fetched": 1}
    assert (imported.source.format, imported.source.name) == ("pokeapi", "Pokémon in English")
    assert "Pokémon in English: format pokeapi" in said
    with open(tmp_path / "out" / "rejects.csv", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["file"], row["row"], row["image"]) == ("pokemon-species", "2", "images/0002.png")
    assert row["detail"] == f"{server.origin}/art/2.png: answered with HTTP status 404"
    pairs = read_pairs(imported)
    assert [pair["group"] for pair in pairs] == ["1", "2"]
    assert [pair["id"] for pair in pairs] == ["images/0001.png", "images/0004.png"]
    assert pairs[0]["image"] == pokeapi.picture(1)


def test_too_many_rejects_fail_the_import(server, pokeapi, tmp_path, in_process):
    server.faults["/art/2.png"] = [pokeapi.answering(b"", 404)]
    reader = fetch(api_address(server.api), tmp_path / "kept", Language.EN, manners=QUICK)
    with pytest.raises(DexmatchError, match="1 of 3 rows rejected, 5% allowed"):
        import_pairs(reader, tmp_path / "out", columns=COLUMNS, say=lambda _: None)
    assert (tmp_path / "out-rejects.csv").exists()


@pytest.mark.skipif(
    not (SHARED / "pokeapi").is_dir() or not (SHARED / "pokemon").is_dir(),
    reason="the shared data is not here",
)
@pytest.mark.parametrize("language", Language)
def test_real_answers(pokeapi, tmp_path, language):
    """Metadata and first sentences are those of the study project; these answers lack later texts.

    The list names more species than there are answers.
    """
    with pokeapi.running() as server:
        pokeapi.fill_from(server, SHARED / "pokeapi")
        records, remarks = read(server, tmp_path, language)
    fetched = [each.fields for each in records if not isinstance(each, Reject)]
    assert [each["species_id"] for each in fetched] == [1, 4, 7, 10, 25]
    assert len(records) == 25
    assert remarks == []
    assert all(count_words(each["caption"]) > 10 for each in fetched)
    with open(SHARED / "pokemon" / "captions.csv", encoding="utf-8") as file:
        study = {int(row["species_id"]): row for row in csv.DictReader(file)}
    for fields in fetched:
        row = study[fields["species_id"]]
        assert list(fields) == list(row)
        for name in fields.keys() - {"caption", "name"}:
            assert str("" if fields[name] is None else fields[name]) == row[name]
        if language is Language.EN:
            assert fields["name"] == row["name"]
            first_sentence = row["caption"].partition(". ")[0]
            assert fields["caption"].startswith(f"{first_sentence}. ")
