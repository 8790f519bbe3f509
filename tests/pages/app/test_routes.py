"""What the page asks, over HTTP."""

import http.client
import io
import json
import threading
import time

import pytest
from PIL import Image

from pages.app import messages
from pages.app.explanations import Explanations
from pages.app.verdicts import PAIRS

BIRD, FISH = "a red bird", "a blue fish"


def wait_until(condition):
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come true in a minute")


def score(app, picture, *captions):
    return app.web.post("score", json={"picture": picture, "captions": list(captions)})


def error_of(answer, status):
    assert answer.status_code == status, answer.text
    (said,) = answer.json().values()
    assert "\n" not in said
    return said


def test_answers_are_those_of_the_model_and_words_are_needed(shared, bring, client, pictures):
    found = score(shared, bring(shared), BIRD, "!?", FISH).json()
    expected = shared.client.score_all(
        shared.client.encode_images([pictures["rgb.png"]]),
        shared.client.encode_captions([BIRD, FISH]),
    )[0]
    probabilities = found["probabilities"]
    assert probabilities[1] is None
    assert probabilities[::2] == pytest.approx(expected.tolist())
    assert found["version"] == "7" and found["milliseconds"] > 0


def test_a_picture_is_encoded_once_however_much_is_typed(shared, bring):
    picture = bring(shared, "grey.jpg")
    before = shared.client.requests.count("encode_image")
    for text in ("a", "a r", "a re", "a red"):
        score(shared, picture, text)
    assert shared.client.requests.count("encode_image") == before + 1


def test_state_tells_what_there_is(open_app, client):
    app = open_app(client, threshold=0.3, is_blessed=False)
    wait_until(lambda: app.folder.encoded == app.folder.total)
    found = app.web.get("state").json()
    assert found["threshold"] == {"value": 0.3, "source": "of a test", "isBlessed": False}
    assert found["model"] == {"name": "dexmatch", "where": "made-up", "version": "7"}
    assert found["folder"]["unjudged"] == 1 and found["tags"] == 3


def test_words_and_parts_that_carry_an_answer(shared, bring):
    picture = bring(shared)
    found = shared.web.post("explain", json={"picture": picture, "caption": BIRD}).json()
    assert "".join(text for text, _, _ in found["words"]) == BIRD
    assert {text for text, drop, _ in found["words"] if drop} == {"a", "red", "bird"}
    assert len(found["cells"]) == 64
    assert found["cells"][-1][2:4] == [found["width"], found["height"]]
    before = shared.client.requests.count("encode_image")
    shared.web.post("explain", json={"picture": picture, "caption": FISH})
    assert shared.client.requests.count("encode_image") == before


def test_an_explanation_that_nobody_waits_for_is_dropped(started, bring, client, monkeypatch):
    started.folder._thread.join()
    picture = bring(started)
    explain, asked = Explanations.explain, threading.Event()

    def watched(explanations, picture, caption, is_abandoned):
        if caption == BIRD:
            client.wait = lambda: (asked.set(), wait_until(is_abandoned))
        return explain(explanations, picture, caption, is_abandoned)

    monkeypatch.setattr(Explanations, "explain", watched)
    before = client.requests.count("encode_image")
    message = {"picture": picture, "caption": BIRD}
    leaving = http.client.HTTPConnection(started.url.removeprefix("http://"))
    json_type = {"Content-Type": "application/json"}
    leaving.request("POST", "/api/explain", json.dumps(message), json_type)
    assert asked.wait(60)
    leaving.close()
    # The next one waits for the one before to end, and has all 65 pictures to do, 4 a request.
    found = started.web.post("explain", json={**message, "caption": FISH})
    assert found.status_code == 200
    assert client.requests.count("encode_image") == before + 4 + 17


def test_the_folder_is_searched_and_the_broken_picture_is_not_found(shared, album):
    found = shared.web.post("search", json={"caption": BIRD, "top": 240}).json()
    values = [hit["value"] for hit in found["hits"]]
    assert values == sorted(values, reverse=True)
    names = {hit["name"] for hit in found["hits"]}
    assert names == {path.name for path in album.iterdir()} - {"broken.png"}
    best = found["hits"][0]
    opened = shared.web.post(f"folder/{best['id']}/open", json={}).json()
    (value,) = score(shared, opened["picture"], BIRD).json()["probabilities"]
    assert value == pytest.approx(best["value"], abs=1e-5)
    thumbnail = shared.web.get(f"folder/{best['id']}")
    assert thumbnail.headers["content-type"] == "image/jpeg"


def test_a_picture_is_most_like_itself(shared, bring):
    message = {"picture": bring(shared, "tall.png"), "top": 3}
    hits = shared.web.post("alike", json=message).json()["hits"]
    assert hits[0]["name"] == "tall.png" and hits[0]["value"] == pytest.approx(1)
    assert len(hits) == 3


def test_the_best_of_a_list_of_captions(shared, bring):
    picture = bring(shared)
    tags = shared.web.post("tags", json={"picture": picture}).json()["tags"]
    expected = score(shared, picture, BIRD, FISH).json()["probabilities"]
    assert {tag["caption"]: tag["value"] for tag in tags} == {
        BIRD: pytest.approx(expected[0]),
        FISH: pytest.approx(expected[1]),
    }


@pytest.mark.parametrize("path", ["0" * 32, "..%2F..%2Fetc%2Fpasswd", "rgb.png"])
def test_no_path_is_chosen_by_who_asks(shared, path):
    for answer in (
        shared.web.get(f"folder/{path}"),
        shared.web.post(f"folder/{path}/open", json={}),
    ):
        assert answer.status_code in (404, 405)


def bomb():
    file = io.BytesIO()
    Image.new("1", (10_000, 6_000)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty file"),
        (b"<svg onload=alert(1)>", "no picture format"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "cannot be read"),
        (bomb(), "more than 50,000,000"),
    ],
)
def test_a_broken_or_large_picture_is_one_line(shared, content, said):
    assert said in error_of(shared.web.post("pictures", content=content), 422)


@pytest.mark.parametrize("is_told", [True, False])
def test_of_a_body_that_is_too_large_no_more_is_read(started, monkeypatch, is_told):
    monkeypatch.setattr(messages, "MAX_PICTURE_BYTES", 1000)
    content = b"x" * 2000
    sent = content if is_told else iter([content[:900], content[900:]])
    said = error_of(started.web.post("pictures", content=sent), 413)
    assert said.startswith("the picture is larger than")


@pytest.mark.parametrize(
    ("captions", "said"),
    [
        ([], "at least 1"),
        (["a"] * (messages.MAX_CAPTIONS + 1), "at most 64"),
        (["a" * (messages.MAX_CAPTION_CHARACTERS + 1)], "at most 1000"),
        (["a\0b"], "NUL"),
        ([7], "valid string"),
    ],
)
def test_captions_are_limited(shared, bring, captions, said):
    assert said in error_of(score(shared, bring(shared), *captions), 422)


@pytest.mark.parametrize(
    "body", ["{", "[]", '"\\ud800"', '{"picture": "x", "captions": ["\\ud800"]}']
)
def test_what_is_no_message_is_one_line(shared, body):
    answer = shared.web.post("score", content=body, headers={"Content-Type": "application/json"})
    error_of(answer, 422)


def test_a_picture_that_is_held_no_more_is_told(shared):
    assert "choose it again" in error_of(score(shared, "0" * 32, BIRD), 404)


def test_a_verdict_is_kept_with_what_the_model_said(started, bring):
    picture = bring(started)
    message = {"picture": picture, "caption": f"  {BIRD} ", "describes": True}
    seen = {"probability": 0.25, "version": "7"}
    told = started.web.post("verdicts", json={**message, **seen}).json()
    assert (told["pairs"], told["waiting"], told["truths"]) == (1, 0, [BIRD])
    assert told["file"] == str(started.kept.folder / PAIRS)
    (row,) = map(json.loads, (started.kept.folder / PAIRS).read_text().splitlines())
    assert row == {"image": f"pictures/{picture}.png", "caption": BIRD, "hard_caption": []}
    wordless = started.web.post("verdicts", json={**message, "caption": "!"})
    assert "must hold a word" in error_of(wordless, 422)


def test_a_model_that_goes_away_is_one_line_and_the_app_goes_on(started, bring, client):
    picture = bring(started)
    client.is_away = True
    assert error_of(score(started, picture, BIRD), 502) == "made-up: no server answers there"
    assert started.web.get("state").status_code == 200
    client.is_away = False
    assert score(started, picture, BIRD).status_code == 200


def test_a_pushed_version_answers_and_the_folder_is_encoded_anew(started, bring, client):
    wait_until(lambda: started.folder.encoded == started.folder.total)
    picture = bring(started)
    before = score(started, picture, BIRD).json()
    client.served = 8
    after = score(started, picture, BIRD).json()
    assert (before["version"], after["version"]) == ("7", "8")
    assert before["probabilities"] != after["probabilities"]

    def search():
        return started.web.post("search", json={"caption": BIRD, "top": 240}).json()

    wait_until(lambda: search()["encoded"] == started.folder.total)
    found = {hit["name"]: hit["value"] for hit in search()["hits"]}
    assert found["rgb.png"] == pytest.approx(after["probabilities"][0], abs=1e-5)


def test_without_a_folder_and_captions_it_says_how_to_start(bare, bring):
    picture = bring(bare)
    for path, message, option in (
        ("search", {"caption": BIRD, "top": 1}, "--images FOLDER"),
        ("alike", {"picture": picture, "top": 1}, "--images FOLDER"),
        ("tags", {"picture": picture}, "--captions FILE"),
    ):
        assert option in error_of(bare.web.post(path, json=message), 404)
    assert bare.web.get("state").json()["folder"] is None
