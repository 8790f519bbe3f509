"""Bodies of answers: whole, within limits, unpacked."""

import gzip
import tracemalloc

import pytest

from core.http_bodies import Body, BodyRefused

TEXT = b"a body of some length" * 20
PACKED = gzip.compress(TEXT, mtime=0)


def read(content, most=1000, chunk=7, **headers):
    body = Body({name.replace("_", "-"): text for name, text in headers.items()}, most)
    for start in range(0, len(content), chunk):
        body.add(content[start : start + chunk])
    return body.content()


@pytest.mark.parametrize("chunk", [1, 7, 10_000])
def test_a_body_comes_in_chunks_of_any_size(chunk):
    assert read(TEXT, chunk=chunk) == TEXT
    assert read(PACKED, chunk=chunk, Content_Encoding="GZIP") == TEXT
    assert read(b"", Content_Encoding="gzip") == b""


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (TEXT, {}),
        (b"", {"Content_Length": "420"}),
        (PACKED, {"Content_Encoding": "gzip"}),
    ],
)
def test_a_body_holds_no_more_than_it_may(content, headers):
    assert read(content, most=420, **headers) in (TEXT, b"")
    with pytest.raises(BodyRefused, match="answered with more than 419 bytes"):
        read(content, most=419, **headers)


@pytest.mark.parametrize("chunk", [1, 10_000])
def test_a_small_body_that_holds_a_large_one_is_not_unpacked(chunk):
    bomb = gzip.compress(bytes(1 << 26), mtime=0)
    tracemalloc.start()
    try:
        with pytest.raises(BodyRefused, match="answered with more than 100,000 bytes"):
            read(bomb, most=100_000, chunk=chunk, Content_Encoding="gzip")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_what_follows_a_packed_body_counts():
    with pytest.raises(BodyRefused, match="answered with more than 1,000 bytes"):
        read(PACKED + bytes(1000), chunk=100, Content_Encoding="gzip")


@pytest.mark.parametrize("content", [TEXT, PACKED[:-1], PACKED[:20] + PACKED[30:]])
def test_broken_gzip_is_told(content):
    with pytest.raises(BodyRefused, match="broken gzip"):
        read(content, Content_Encoding="gzip")


def test_another_packing_is_told():
    with pytest.raises(BodyRefused, match="Content-Encoding 'br'"):
        read(TEXT, Content_Encoding="br")
