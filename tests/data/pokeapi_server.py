"""A server on loopback that answers as PokeAPI does, of species of our own, and has faults."""

import collections
import contextlib
import gzip
import http.server
import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

ROOT = "/api/v2/"
# Resource to number to the API's own name and the names in its languages.
TERMS = {
    "pokemon-color": {
        5: ("green", {"en": "Green", "ko": "초록", "ja": "緑色", "de": "Grün"}),
        8: ("red", {"en": "Red", "ko": "빨강", "ja": "赤色", "de": "Rot"}),
    },
    "type": {
        4: ("poison", {"en": "Poison", "ko": "독", "ja": "どく", "de": "Gift"}),
        10: ("fire", {"en": "Fire", "ko": "불꽃", "ja": "ほのお", "de": "Feuer"}),
        12: ("grass", {"en": "Grass", "ko": "풀", "ja": "くさ", "de": "Pflanze"}),
    },
}
LEAFLING = {
    "names": {"en": "Leafling", "ko": "잎새", "ja": "ハッパン", "de": "Blattling"},
    "genera": {
        "en": "Leaf Pokémon",
        "ko": "잎포켓몬",
        "ja-hrkt": "はっぱポケモン",
        "de": "Blatt-Pokémon",
    },
    "texts": [
        ("en", 1, "An old text\nof LEAFLING."),
        ("en", 30, "It sleeps\nin the\fsun."),
        ("en", 34, "A text that came later."),
        ("ko", 23, "양지에서\n잠을 잔다."),
        ("ja", 23, "日なたで\u3000ねむる。\n平和だ。"),
        ("ja-hrkt", 24, "ひなたで\u3000ねむる。"),
        ("de", 23, "Es schläft\nin der Sonne."),
    ],
}
EMBERLING = {
    "names": {"en": "Emberling", "ko": "불씨", "ja": "ヒダネン", "de": "Glutling"},
    "genera": {"en": "Ember Pokémon", "ko": "불씨포켓몬", "ja": "ひだねポケモン"},
    "texts": [("en", 40, "It glows at night.")],
}


class Server(http.server.ThreadingHTTPServer):
    """Answers for a few species.

    Attributes:
      answers: path, without a query, to what is there: JSON, or bytes as they are.
      faults: path to what its next requests meet, one after the other, instead of the answer.
      asked: path to the number of requests.
      headers: of each request, names in lower case.
      closing: set when nobody waits for the server any more.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, object] = {}
        self.faults: dict[str, list[Callable[[_Handler], None]]] = collections.defaultdict(list)
        self.asked: collections.Counter[str] = collections.Counter()
        self.headers: list[dict[str, str]] = []
        self.closing = threading.Event()
        self.lock = threading.Lock()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def api(self) -> str:
        return f"{self.origin}{ROOT}"

    def handle_error(self, *_: object) -> None:
        """Clients hang up on faults."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        with self.server.lock:
            self.server.asked[path] += 1
            self.server.headers.append({name.lower(): text for name, text in self.headers.items()})
            faults = self.server.faults[path]
            fault = faults.pop(0) if faults else None
        if fault:
            fault(self)
        elif path in self.server.answers:
            content = self.server.answers[path]
            reply(self, content if isinstance(content, bytes) else json.dumps(content).encode())
        else:
            reply(self, b"Not Found", 404)

    def log_message(self, *_: object) -> None:
        pass


def reply(
    handler: _Handler, content: bytes, status: int = 200, length: int | None = None, **headers: str
) -> None:
    handler.send_response(status)
    for name, text in headers.items():
        handler.send_header(name.replace("_", "-"), text)
    handler.send_header("Content-Length", str(len(content) if length is None else length))
    handler.end_headers()
    handler.wfile.write(content)


def answering(content: bytes, status: int = 200, **headers: str) -> Callable[[_Handler], None]:
    """A fault that is another answer; header names with _ for -."""
    return lambda handler: reply(handler, content, status, **headers)


def html(handler: _Handler) -> None:
    reply(handler, b"<!DOCTYPE html><html>Please log in.</html>", Content_Type="text/html")


def cut_off(handler: _Handler) -> None:
    """Promises more than it sends."""
    reply(handler, b'{"count": 3, "results": [', length=1000)
    handler.close_connection = True


def slow(handler: _Handler) -> None:
    """Says nothing."""
    handler.server.closing.wait()


def dribbling(handler: _Handler) -> None:
    """Never pauses long, and never comes to an end."""
    handler.send_response(200)
    handler.send_header("Content-Length", "900")
    handler.end_headers()
    while not handler.server.closing.wait(0.02):
        handler.wfile.write(b" ")


def endless(handler: _Handler) -> None:
    """Does not say how much comes, and goes on."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    while not handler.server.closing.is_set():
        handler.wfile.write(bytes(1 << 16))


def hanging_up(handler: _Handler) -> None:
    """Closes without a word."""
    handler.close_connection = True


PACKED_BOMB = answering(gzip.compress(bytes(64 << 20)), Content_Encoding="gzip")


def picture(number: int) -> bytes:
    """A PNG, another one for each species."""
    return encoded((20 + number, 30), (10 * number % 256, 99, 0, 255))


def encoded(size: tuple[int, int], color: tuple[int, ...] = (0, 0, 0, 255)) -> bytes:
    file = io.BytesIO()
    Image.new("RGBA", size, color).save(file, "PNG")
    return file.getvalue()


def species(
    number: int, looks: dict, family: int = 1, color_number: int = 5, **changes: object
) -> dict:
    """An answer to `pokemon-species/NUMBER/`."""
    return {
        "id": number,
        "names": [_entry(code, name=text) for code, text in looks["names"].items()],
        "genera": [_entry(code, genus=text) for code, text in looks["genera"].items()],
        "flavor_text_entries": [
            _entry(code, flavor_text=text, version=_link("version", version, f"game-{version}"))
            for code, version, text in looks["texts"]
        ],
        "color": _link("pokemon-color", color_number, TERMS["pokemon-color"][color_number][0]),
        "shape": _link("pokemon-shape", 8, "quadruped"),
        "habitat": _link("pokemon-habitat", 3, "grassland"),
        "generation": _link("generation", 1, "generation-i"),
        "evolution_chain": {"url": f"{ROOT}evolution-chain/{family}/"},
        "is_legendary": False,
        "is_mythical": False,
        "varieties": [
            {"is_default": False, "pokemon": _link("pokemon", 10000 + number, "other")},
            {"is_default": True, "pokemon": _link("pokemon", number, "default")},
        ],
        **changes,
    }


def pokemon(number: int, types: tuple[int, ...] = (12, 4), artwork: object = ...) -> dict:
    """An answer to `pokemon/NUMBER/`; the types stand there the wrong way round."""
    if artwork is ...:
        artwork = f"/art/{number}.png"
    slots = [
        {"slot": slot, "type": _link("type", each, TERMS["type"][each][0])}
        for slot, each in enumerate(types, start=1)
    ]
    return {
        "id": number,
        "types": slots[::-1],
        "sprites": {
            "front_default": "https://nowhere.invalid/1.png",
            "other": {"official-artwork": {"front_default": artwork}},
        },
    }


def species_list(*numbers: int) -> dict:
    """An answer to `pokemon-species/?limit=...`."""
    return {
        "count": 1025,
        "next": None,
        "results": [_link("pokemon-species", number, "x") for number in numbers],
    }


def fill(server: Server) -> None:
    """Puts three species there, the first two of one family."""
    put(server, "pokemon-species", species_list(1, 2, 4))
    put(server, "pokemon-species/1", species(1, LEAFLING))
    put(server, "pokemon-species/2", species(2, LEAFLING))
    put(
        server,
        "pokemon-species/4",
        species(4, EMBERLING, family=2, color_number=8, is_mythical=True),
    )
    put(server, "pokemon/1", pokemon(1))
    put(server, "pokemon/2", pokemon(2))
    put(server, "pokemon/4", pokemon(4, types=(10,)))
    for number in (1, 2, 4):
        server.answers[f"/art/{number}.png"] = picture(number)
    for resource, terms in TERMS.items():
        for number, (slug, names) in terms.items():
            answer = {
                "id": number,
                "name": slug,
                "names": [_entry(code, name=text) for code, text in names.items()],
            }
            put(server, f"{resource}/{number}", answer)


def fill_from(server: Server, folder: Path) -> None:
    """Puts the answers there that lie in a folder as `RESOURCE/NUMBER/index.json`.

    The pictures that they name become this server's.
    """
    for path in folder.rglob("index.json"):
        answer = json.loads(path.read_bytes())
        resource = path.parent.relative_to(folder).as_posix()
        if "sprites" in answer:
            artwork = answer["sprites"]["other"]["official-artwork"]
            artwork["front_default"] = f"/art/{answer['id']}.png"
            server.answers[f"/art/{answer['id']}.png"] = picture(answer["id"])
        put(server, resource, answer)


def put(server: Server, resource: str, answer: object) -> None:
    server.answers[f"{ROOT}{resource}/"] = answer


def with_absolute_addresses(server: Server) -> None:
    """As the live API has them."""
    for path, answer in server.answers.items():
        if not isinstance(answer, bytes):
            text = json.dumps(answer).replace('"/', f'"{server.origin}/')
            server.answers[path] = json.loads(text)


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server with nothing on it."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


def _link(resource: str, number: int, name: str) -> dict[str, str]:
    return {"name": name, "url": f"{ROOT}{resource}/{number}/"}


def _entry(code: str, **texts: object) -> dict[str, object]:
    return {**texts, "language": {"name": code, "url": f"{ROOT}language/9/"}}
