"""A polite HTTP client: paced, patient within bounds, and for answers of a bounded size.

Whoever calls it waits for the answer, so there are as many requests at a time as there are callers.
Nothing that an answer says leads it further than to https addresses and to the API's own host.
"""

import asyncio
import collections
import dataclasses
import email.utils
import os
import re
import socket
import ssl
import time
from collections.abc import Callable
from typing import Self, TypeVar

import httpx

from core.errors import DexmatchError, with_causes
from core.http_bodies import ENCODINGS, Body, BodyRefused
from data.pokemon.errors import Transient, Unobtainable

_BUSY = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
"""With these a server asks everybody to slow down."""
_PASSING = (*_BUSY, 408, 425, 500, 502, 504)
"""Statuses after which the same request may succeed."""
_MAX_REDIRECTS = 5
_USER_AGENT = f"dexmatch python-httpx/{httpx.__version__}"
_KEPT = "what was fetched is kept"
_LONGEST_SHOWN = 200

_Answer = TypeVar("_Answer")


@dataclasses.dataclass(frozen=True, slots=True)
class Manners:
    """How a server is treated.

    Attributes:
      interval_s: seconds from the start of a request to that of the next.
      connect_s: seconds that a connection may take.
      answer_s: seconds that an answer may take from the request to its last byte.
      attempts: the most times that an address is asked for.
      first_pause_s: seconds before the second attempt; they double for each one after it.
      longest_pause_s: seconds. A server that asks for a longer pause ends the run.
      failures: so many addresses of a host in a row without an answer end the run: it is down.
    """

    interval_s: float = 0.1
    connect_s: float = 10
    answer_s: float = 60
    attempts: int = 4
    first_pause_s: float = 1
    longest_pause_s: float = 120
    failures: int = 8


POLITE = Manners()
"""Towards servers of strangers."""


class Client:
    """Asks one API, and whoever serves its pictures.

    Args:
      api: its address, as `api_address` gives it.
      manners: how it is treated.

    Raises:
      DexmatchError: there are no certificates to trust.
    """

    def __init__(self, api: httpx.URL, manners: Manners):
        self._api = api
        self._manners = manners
        try:
            context = httpx.create_ssl_context()
        except OSError as error:
            raise DexmatchError(
                f"SSL_CERT_FILE or SSL_CERT_DIR: no certificates to trust ({error.strerror})"
            ) from error
        self._http = httpx.AsyncClient(
            headers={"User-Agent": _USER_AGENT, "Accept-Encoding": ENCODINGS},
            timeout=httpx.Timeout(manners.answer_s, connect=manners.connect_s),
            verify=context,
            follow_redirects=False,
        )
        self._next_start = 0.0
        self._was_reached = False
        self._failures: collections.Counter[str] = collections.Counter()

    async def __aenter__(self) -> Self:
        """Takes requests until the block ends."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes all connections."""
        await self._http.aclose()

    async def get(
        self, address: str, most: int, read: Callable[[bytes], _Answer]
    ) -> tuple[bytes, _Answer]:
        """Asks for something until it is there whole.

        Args:
          address: absolute, or relative to the API's.
          most: bytes that the answer may hold.
          read: checks the content and makes something of it; raises `Transient` or `Unobtainable`
            where it is not what it should be.

        Returns:
          The content, and what was made of it.

        Raises:
          Unobtainable: it is not there, not to be used, or did not come in all attempts.
          DexmatchError: the API can't be reached, or a host asks for too long a pause or is down.
        """
        url = self._resolve(self._api, address)
        for attempt in range(1, self._manners.attempts + 1):
            try:
                content = await self._send(url, most)
                answer = read(content)
            except Unobtainable as error:
                self._failures[url.host] = 0
                raise Unobtainable(f"{_shown(url)}: {error}") from error
            except Transient as error:
                fault = error
            else:
                self._failures[url.host] = 0
                return content, answer
            if attempt < self._manners.attempts:
                await self._wait(url, fault, attempt)
        self._failures[url.host] += 1
        if (failures := self._failures[url.host]) >= self._manners.failures:
            raise DexmatchError(
                f"{_shown(url)}: {fault}, and {failures - 1} addresses before it failed too; start "
                f"the same command again later, {_KEPT}"
            )
        raise Unobtainable(f"{_shown(url)}: {fault}; asked {self._manners.attempts} times")

    async def _wait(self, url: httpx.URL, fault: Transient, attempt: int) -> None:
        """Pauses before the next attempt; where the server asks for it, all requests do."""
        pause = self._manners.first_pause_s * 2 ** (attempt - 1)
        if fault.pause_s is not None:
            if fault.pause_s > self._manners.longest_pause_s:
                raise DexmatchError(
                    f"{url.host}: asks to be left alone for {fault.pause_s:,.0f} s (Retry-After); "
                    f"start the same command again after that, {_KEPT}"
                )
            pause = max(pause, fault.pause_s)
            self._next_start = max(self._next_start, time.monotonic() + pause)
        await asyncio.sleep(pause)

    async def _send(self, url: httpx.URL, most: int) -> bytes:
        """One attempt, redirects included."""
        # Nothing else runs between the two lines, so no two requests get the same turn.
        start = max(self._next_start, time.monotonic())
        self._next_start = start + self._manners.interval_s
        await asyncio.sleep(start - time.monotonic())
        try:
            async with asyncio.timeout(self._manners.answer_s):
                return await self._follow(url, most)
        except TimeoutError as error:
            raise Transient(f"no whole answer within {self._manners.answer_s:g} s") from error

    async def _follow(self, url: httpx.URL, most: int) -> bytes:
        for _ in range(_MAX_REDIRECTS + 1):
            try:
                async with self._http.stream("GET", url) as response:
                    self._was_reached = True
                    if not response.has_redirect_location:
                        return await _content(response, most)
                    url = self._resolve(url, response.headers["Location"])
            except BodyRefused as error:
                raise Unobtainable(str(error)) from error
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if self._was_reached:
                    raise Transient(f"no connection ({_reason(error)})") from error
                raise DexmatchError(
                    f"{url.host}: cannot be reached ({_reason(error)}); check the network, or name "
                    "a mirror with --api"
                ) from error
            except httpx.TimeoutException as error:
                raise Transient(f"no whole answer within {self._manners.answer_s:g} s") from error
            except httpx.RequestError as error:
                raise Transient(f"no whole answer ({_reason(error)})") from error
        raise Unobtainable(f"redirects more than {_MAX_REDIRECTS} times")

    def _resolve(self, base: httpx.URL, address: str) -> httpx.URL:
        """The absolute address, if it is one that an answer may send us to."""
        try:
            url = base.join(address)
        except httpx.InvalidURL as error:
            raise Unobtainable(f"{address[:_LONGEST_SHOWN]!a}: no address") from error
        if not url.host or (url.scheme != "https" and _origin(url) != _origin(self._api)):
            raise Unobtainable(
                f"{_shown(url)}: not followed, neither https nor on {self._api.host}"
            )
        return url


def api_address(text: str) -> httpx.URL:
    """An address that a user named.

    Args:
      text: such as "https://pokeapi.co/api/v2".

    Returns:
      The address as a folder, to which those of answers are relative.

    Raises:
      DexmatchError: it is no address over HTTP, or holds a password.
    """
    try:
        url = httpx.URL(text.rstrip("/") + "/")
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise DexmatchError(f"--api {text}: no address; write https://HOST/PATH")
    if url.userinfo:
        # It would be told in messages, and be sent to whoever is named in them.
        raise DexmatchError(f"--api: {url.host} is asked without a user or password; leave it out")
    return url


async def _content(response: httpx.Response, most: int) -> bytes:
    status = response.status_code
    if status in _PASSING:
        pause = _retry_after(response.headers.get("Retry-After", "")) if status in _BUSY else None
        raise Transient(f"answered with HTTP status {status}", pause)
    if status != httpx.codes.OK:
        raise Unobtainable(f"answered with HTTP status {status}")
    body = Body(response.headers, most)
    async for chunk in response.aiter_raw():
        body.add(chunk)
    return body.content()


def _retry_after(text: str) -> float | None:
    """Seconds, out of a number of them or a date; None where it is neither."""
    if re.fullmatch("[0-9]+", text):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _shown(url: httpx.URL) -> str:
    return str(url)[:_LONGEST_SHOWN]


def _reason(error: Exception) -> str:
    """What the system says of a connection, else the library."""
    reason = str(error) or type(error).__name__
    for each in with_causes(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            reason = f"its certificate is not to be trusted: {each.verify_message}"
        elif isinstance(each, socket.gaierror | ssl.SSLError):  # Whose numbers are their own.
            reason = each.strerror or reason
        elif isinstance(each, OSError) and each.errno:
            reason = os.strerror(each.errno)  # Where asyncio has words of its own.
    return " ".join(reason.split())
