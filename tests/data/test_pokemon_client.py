"""The client of PokeAPI on loopback: polite, patient within bounds, not to be led astray."""

import asyncio
import dataclasses
import datetime
import email.utils
import re
import ssl
import time
import types

import httpx
import pytest

from core.errors import DexmatchError
from data.pokemon import client as clients
from data.pokemon.client import POLITE, Client, Manners, api_address
from data.pokemon.errors import Transient, Unobtainable

QUICK = Manners(interval_s=0, attempts=3, first_pause_s=0.01, longest_pause_s=5, failures=100)
PATIENT = dataclasses.replace(QUICK, attempts=1)
IMPATIENT = dataclasses.replace(PATIENT, answer_s=0.3)
THING = "/api/v2/thing/"


@pytest.fixture
def server(pokeapi_server):
    pokeapi_server.answers[THING] = b"an answer"
    return pokeapi_server


def get(server, address="thing/", manners=QUICK, most=1000, read=lambda content: len(content)):
    async def ask():
        async with Client(api_address(server.api), manners) as client:
            return await client.get(address, most, read)

    return asyncio.run(ask())


def get_all(server, addresses, manners):
    """Asks for all of them at once; gives the outcomes."""

    async def ask():
        async with Client(api_address(server.api), manners) as client:
            waiting = (client.get(address, 1000, len) for address in addresses)
            return await asyncio.gather(*waiting, return_exceptions=True)

    return asyncio.run(ask())


def test_an_answer_and_what_was_made_of_it(server):
    assert get(server) == (b"an answer", 9)
    (headers,) = server.headers
    assert headers["user-agent"].startswith("dexmatch ")
    assert headers["accept-encoding"] == "gzip"


def test_a_packed_answer_is_unpacked(server, pokeapi):
    server.faults[THING] = [
        pokeapi.answering(pokeapi.gzip.compress(b"packed"), Content_Encoding="gzip")
    ]
    assert get(server) == (b"packed", 6)


@pytest.mark.parametrize("address", ["thing/", "/api/v2/thing/", "{origin}/api/v2/thing/"])
def test_addresses_may_be_absolute_or_relative(server, address):
    assert get(server, address.format(origin=server.origin))[0] == b"an answer"


@pytest.mark.parametrize("fault", ["html", "cut_off", "hanging_up", "busy", "down"])
def test_what_may_be_gone_the_next_time_is_asked_for_again(server, pokeapi, fault):
    server.faults[THING] = [
        {
            "busy": pokeapi.answering(b"", 429, Retry_After="0"),
            "down": pokeapi.answering(b"", 502),
        }.get(fault)
        or getattr(pokeapi, fault)
    ]

    def read(content):
        if b"html" in content:
            raise Transient("HTML")

    assert get(server, read=read)[0] == b"an answer"
    assert server.asked[THING] == 2


def test_a_slow_answer_is_asked_for_again(server, pokeapi):
    server.faults[THING] = [pokeapi.slow]
    manners = dataclasses.replace(IMPATIENT, attempts=2, answer_s=2)
    assert get(server, manners=manners)[0] == b"an answer"


@pytest.mark.parametrize(
    ("fault", "manners", "message"),
    [
        ("slow", IMPATIENT, "no whole answer within 0.3 s; asked 1 times"),
        ("dribbling", IMPATIENT, "no whole answer within 0.3 s; asked 1 times"),
        ("cut_off", QUICK, "no whole answer .*; asked 3 times"),
        ("hanging_up", QUICK, "no whole answer .*; asked 3 times"),
        ("endless", PATIENT, "answered with more than 1,000 bytes"),
        ("PACKED_BOMB", PATIENT, "answered with more than 1,000 bytes"),
    ],
)
def test_what_does_not_come_is_told_with_its_address(server, pokeapi, fault, manners, message):
    server.faults[THING] = 3 * [getattr(pokeapi, fault)]
    with pytest.raises(Unobtainable, match=re.escape(f"{server.api}thing/: ") + message):
        get(server, manners=manners)
    assert server.asked[THING] == (1 if "more than" in message else manners.attempts)


@pytest.mark.parametrize("status", [400, 403, 404, 410, 204])
def test_what_is_not_there_is_not_asked_for_again(server, pokeapi, status):
    server.faults[THING] = [pokeapi.answering(b"", status)]
    with pytest.raises(Unobtainable, match=f"/thing/: answered with HTTP status {status}$"):
        get(server)
    assert server.asked[THING] == 1


def test_neither_is_what_is_of_no_use(server):
    def read(content):
        raise Unobtainable("names no artwork")

    with pytest.raises(Unobtainable, match="/thing/: names no artwork$"):
        get(server, read=read)
    assert server.asked[THING] == 1


@pytest.fixture
def pauses(monkeypatch):
    """What is slept, in seconds; nobody sleeps, and the clock stands still."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(clients.asyncio, "sleep", sleep)
    clock = types.SimpleNamespace(monotonic=lambda: 100.0, time=time.time)
    monkeypatch.setattr(clients, "time", clock)
    return slept


def test_a_server_that_is_busy_is_left_alone_by_all(server, pokeapi, pauses):
    """For as long as it says, though only one request was turned away."""
    server.faults[THING] = [pokeapi.answering(b"", 429, Retry_After="3")]
    server.answers["/api/v2/other/"] = b"another"

    async def ask():
        async with Client(api_address(server.api), QUICK) as client:
            await client.get("thing/", 1000, len)
            await client.get("other/", 1000, len)

    asyncio.run(ask())
    assert pauses == [0, 3, 3, 3]  # The first, its pause, the second, the other one.


def test_pauses_double(server, pokeapi, pauses):
    server.faults[THING] = 3 * [pokeapi.answering(b"", 500)]
    get(server, manners=dataclasses.replace(QUICK, attempts=4, first_pause_s=1))
    assert [pause for pause in pauses if pause] == [1, 2, 4]


def http_date(seconds):
    when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return email.utils.format_datetime(when, usegmt=True)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("asked", ["86400", "9" * 400, "date"])
def test_a_pause_of_hours_ends_the_run(server, pokeapi, status, asked):
    if asked == "date":
        asked = http_date(86400)  # Of now, and not of when the tests were collected.
    server.faults[THING] = [pokeapi.answering(b"", status, Retry_After=asked)]
    message = (
        r"127.0.0.1: asks to be left alone for (86,[34]\d\d|inf) s \(Retry-After\); start the same"
    )
    with pytest.raises(DexmatchError, match=message):
        get(server)
    assert server.asked[THING] == 1


@pytest.mark.parametrize(
    "asked", ["soon", "-5", "", pytest.param(http_date(-60), id="past"), "Thu, 99 Foo 2020"]
)
def test_a_pause_that_nobody_can_read_is_an_ordinary_one(server, pokeapi, asked):
    server.faults[THING] = [pokeapi.answering(b"", 429, Retry_After=asked)]
    assert get(server)[0] == b"an answer"


def test_requests_start_one_after_the_other(server, pauses):
    get_all(server, ["thing/"] * 4, dataclasses.replace(QUICK, interval_s=10))
    assert pauses == [0, 10, 20, 30]


def test_a_server_that_is_down_ends_the_run(server, pokeapi):
    addresses = [f"{number}/" for number in range(10)]
    for address in addresses:
        server.faults[f"/api/v2/{address}"] = 9 * [pokeapi.answering(b"", 500)]

    async def ask():
        async with Client(api_address(server.api), manners) as client:
            for address in addresses:
                with pytest.raises(Unobtainable):
                    await client.get(address, 1000, len)

    manners = dataclasses.replace(PATIENT, failures=4)
    message = r"/3/: answered with HTTP status 500, and 3 addresses before it failed too; start the"
    with pytest.raises(DexmatchError, match=message):
        asyncio.run(ask())
    assert sum(server.asked.values()) == 4


def test_an_answer_between_says_that_it_is_up(server, pokeapi):
    for number in range(6):
        server.faults[f"/api/v2/{number}/"] = 9 * [pokeapi.answering(b"", 500)]

    async def ask():
        async with Client(api_address(server.api), manners) as client:
            for number in range(6):
                with pytest.raises(Unobtainable):
                    await client.get(f"{number}/", 1000, len)
                if number % 2:
                    await client.get("thing/", 1000, len)
                else:
                    with pytest.raises(Unobtainable, match="404"):
                        await client.get("nothing/", 1000, len)

    manners = dataclasses.replace(PATIENT, failures=2)
    asyncio.run(ask())


def test_no_network_is_told_at_once(free_port, server):
    server.server_address = ("127.0.0.1", free_port)
    message = (
        "127.0.0.1: cannot be reached .*efused.*; check the network, or name a mirror with --api"
    )
    with pytest.raises(DexmatchError, match=message) as error:
        get(server, manners=POLITE)
    assert "\n" not in str(error.value)


def test_a_name_that_nobody_knows_is_told_at_once():
    async def ask():
        async with Client(api_address("https://pokeapi.invalid/api/v2"), POLITE) as client:
            await client.get("thing/", 1000, len)

    with pytest.raises(DexmatchError, match="^pokeapi.invalid: cannot be reached .*") as error:
        asyncio.run(ask())
    assert "All connection attempts failed" not in str(error.value)


def test_a_connection_lost_later_is_waited_for(server, pokeapi):
    """Unlike one that never was."""

    server.faults[THING] = [pokeapi.answering(b"an answer", Connection="close")]

    async def ask():
        async with Client(api_address(server.api), QUICK) as client:
            await client.get("thing/", 1000, len)
            server.shutdown()
            server.socket.close()
            await client.get("thing/", 1000, len)

    with pytest.raises(Unobtainable, match=r"no connection \(.*efused\); asked 3 times"):
        asyncio.run(ask())


def test_another_host_that_is_down_ends_the_run_too(server, free_port):
    """Though the API's own answers in between; a single address is no reason."""
    elsewhere = f"https://127.0.0.2:{free_port}/"
    manners = dataclasses.replace(PATIENT, failures=3)

    async def ask():
        async with Client(api_address(server.api), manners) as client:
            for number in range(3):
                await client.get("thing/", 1000, len)
                with pytest.raises(Unobtainable, match=r"no connection \(.*efused\)"):
                    await client.get(f"{elsewhere}{number}", 1000, len)

    with pytest.raises(
        DexmatchError, match="/2: no connection .*, and 2 addresses before it failed too"
    ):
        asyncio.run(ask())


def test_who_speaks_no_tls_is_told(server):
    https = server.api.replace("http:", "https:")

    async def ask():
        async with Client(api_address(https), QUICK) as client:
            await client.get("thing/", 1000, len)

    message = r"cannot be reached \(.*(?i:wrong.version.number).*\)"
    with pytest.raises(DexmatchError, match=message):
        asyncio.run(ask())


def test_a_certificate_that_is_not_to_be_trusted_is_told(server, monkeypatch):
    refusal = ssl.SSLCertVerificationError(1, "certificate verify failed")
    refusal.verify_message = "self-signed certificate"

    def stream(*_):
        raise httpx.ConnectError("[SSL] ...") from refusal

    monkeypatch.setattr(httpx.AsyncClient, "stream", stream)
    message = r"\(its certificate is not to be trusted: self-signed certificate\)"
    with pytest.raises(DexmatchError, match=message):
        get(server)


def test_redirects_on_the_same_host_are_followed(server, pokeapi):
    server.faults["/api/v2/old/"] = [pokeapi.answering(b"", 301, Location="../thing/")]
    assert get(server, "old/")[0] == b"an answer"


def test_redirects_in_a_circle_are_told(server, pokeapi):
    server.faults[THING] = 20 * [pokeapi.answering(b"", 302, Location="/api/v2/thing/")]
    with pytest.raises(Unobtainable, match="redirects more than 5 times"):
        get(server)
    assert server.asked[THING] == 6


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:1/x",
        "http://localhost/x",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "//169.254.169.254/latest",
        "https:///x",
    ],
)
def test_nobody_is_sent_elsewhere(server, pokeapi, address):
    """Neither by an address in an answer nor by a redirect."""
    message = "not followed, neither https nor on 127.0.0.1"
    with pytest.raises(Unobtainable, match=message):
        get(server, address)
    server.faults[THING] = [pokeapi.answering(b"", 302, Location=address)]
    with pytest.raises(Unobtainable, match=message):
        get(server)


@pytest.mark.parametrize("address", ["https://x:y/", "\x00\x1b[31m"])
def test_what_is_no_address_is_told_without_control_characters(server, address):
    with pytest.raises(Unobtainable, match=": no address$") as error:
        get(server, address)
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "address", ["pokeapi.co", "ftp://x/y", "https://", "https://x:y/", "", "https://x/?a=b", "/a"]
)
def test_what_a_user_names_must_be_an_address(address):
    with pytest.raises(DexmatchError, match="--api .*: no address; write https://HOST/PATH"):
        api_address(address)


def test_a_password_is_neither_taken_nor_told():
    with pytest.raises(DexmatchError, match="without a user or password") as error:
        api_address("https://me:secret@x/y")
    assert "secret" not in str(error.value)


def test_the_api_is_a_folder():
    assert str(api_address("https://x/y")) == str(api_address("https://x/y/")) == "https://x/y/"


def test_certificates_that_are_not_there_are_told(monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    with pytest.raises(DexmatchError, match="SSL_CERT_FILE or SSL_CERT_DIR: no certificates"):
        Client(api_address("https://x/y"), QUICK)
