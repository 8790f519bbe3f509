"""Bad requests of all sorts for the REST API, always the same; the tests send some of them too."""

import dataclasses
import random

MODEL = "dexmatch"
PREDICT = f"/v1/models/{MODEL}:predict"


@dataclasses.dataclass(frozen=True, slots=True)
class Garbage:
    """A POST request that no server should answer with success.

    Attributes:
      kind: what is wrong with it.
      path: as it is sent, URL-encoded.
    """

    kind: str
    path: str
    body: bytes
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


def garbage(number: int, large_bytes: int) -> Garbage:
    """The number-th bad request; the kinds take turns.

    Args:
      number: also the seed.
      large_bytes: length of the bodies that are too long.
    """
    source = random.Random(number)
    deep = source.choice([100, 900, 50_000])
    digits = b"9" * source.choice([40, 400, 6_000])
    kinds = [
        ("random bytes", PREDICT, source.randbytes(source.randrange(1, 5_000))),
        ("deep JSON", PREDICT, b"[" * deep + b"]" * deep),
        ("deep JSON", PREDICT, b'{"instances":' + b"[" * deep + b"1" + b"]" * deep + b"}"),
        ("deep JSON", PREDICT, b'{"instances":' + b'{"image":' * deep),
        ("huge number", PREDICT, b'{"instances": [' + digits + b"]}"),
        ("huge number", PREDICT, _row(digits)),
        ("wrong type", PREDICT, _row(source.choice([b"1", b"1e999", b"null", b"[]", b"{}"]))),
        ("wrong type", PREDICT, b'{"inputs": {"image": [["\xff\xfe"], ["a"]], "caption": ["a"]}}'),
        ("ragged list", PREDICT, b'{"inputs": {"image": [["a"], ["a", "b"]], "caption": ["a"]}}'),
        ("wrong base64", PREDICT, _row(b'{"b64": "%d?"}' % number)),
        ("wrong base64", PREDICT, _row(b'{"b64": "YQ==", "more": 1}')),
        ("missing input", PREDICT, b'{"inputs": {"caption": ["a"]}}'),
        ("unknown signature", PREDICT, b'{"signature_name": "\\udc80", "inputs": [1]}'),
        ("unknown model", f"/v1/models/{source.randbytes(9).hex()}:predict", _row(b'"a"')),
        ("unknown model", "/v1/models/%ff%00:predict", _row(b'"a"')),
        ("unknown path", "/v1/%ff%00:predict", b"{}"),
        ("wrong gzip", PREDICT, source.randbytes(100)),
        ("long body", PREDICT, bytes(large_bytes)),
    ]
    kind, path, body = kinds[number % len(kinds)]
    return Garbage(kind, path, body, {"Content-Encoding": "gzip"} if kind == "wrong gzip" else {})


def _row(image: bytes) -> bytes:
    return b'{"instances": [{"image": ' + image + b', "caption": "a"}]}'
