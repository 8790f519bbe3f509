"""What the page sends: read within limits, checked, and refused in one line."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from core.words import count_words

MAX_CAPTIONS = 64
"""In one request."""
MAX_CAPTION_CHARACTERS = 1000
MAX_PICTURE_BYTES = 32 * 2**20
_MAX_JSON_BYTES = 512 * 2**10
_MOST_FOUND = 240
"""Pictures that one search shows at most."""

_Message = TypeVar("_Message", bound=BaseModel)


class Refused(Exception):
    """A request that gets no answer but one line.

    Args:
      reason: the line.
      status: of HTTP.
    """

    def __init__(self, reason: str, status: int = 422):
        super().__init__(reason)
        self.status = status


def _clean(text: str) -> str:
    """One line, as captions are imported.

    Raises:
      ValueError: it is no text that UTF-8 or a file of captions could hold.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a caption must be Unicode text") from None
    if "\0" in text:
        raise ValueError("a caption must not hold a NUL character")
    return " ".join(text.split())


def _worded(text: str) -> str:
    if not count_words(text):
        raise ValueError("a caption must hold a word")
    return text


_Caption = Annotated[str, Field(max_length=MAX_CAPTION_CHARACTERS), AfterValidator(_clean)]
_WordedCaption = Annotated[_Caption, AfterValidator(_worded)]
Id = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
"""Of a picture, by its content, or by its place in the folder; the client never names a path."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Score(_Strict):
    """How likely is it that these captions describe the picture?"""

    picture: Id
    captions: Annotated[list[_Caption], Field(min_length=1, max_length=MAX_CAPTIONS)]


class Explain(_Strict):
    """Which words, and which part of the picture, carry the answer?"""

    picture: Id
    caption: _WordedCaption


class Search(_Strict):
    """Which pictures of the folder does this caption describe?"""

    caption: _WordedCaption
    top: Annotated[int, Field(ge=1, le=_MOST_FOUND)]


class Alike(_Strict):
    """Which pictures of the folder are like this one?"""

    picture: Id
    top: Annotated[int, Field(ge=1, le=_MOST_FOUND)]


class Tags(_Strict):
    """Which captions of the list describe this picture best?"""

    picture: Id


class Judge(_Strict):
    """A user's verdict on a pair.

    `describes` is None to take a verdict back. `probability` and `version` are what the page
    showed.
    """

    picture: Id
    caption: _WordedCaption
    describes: bool | None
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    version: Annotated[str, Field(pattern="^[0-9]{1,19}$")] | None = None


async def read(request: Request, kind: type[_Message]) -> _Message:
    """The message of a request, which is JSON.

    Raises:
      Refused: it is too large, or no such message.
    """
    # A form of another site cannot send this type without asking first.
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise Refused("send JSON", 415)
    body = await read_body(request, _MAX_JSON_BYTES, "the request")
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "request"
        raise Refused(f"{where}: {first['msg'].removeprefix('Value error, ')}") from error


async def read_body(request: Request, most: int, what: str) -> bytes:
    """The body of a request, of which no more is read than it may hold.

    Args:
      request: its body has not been read yet.
      most: bytes that it may hold.
      what: to call it in the message.

    Raises:
      Refused: it holds more.
    """
    told = request.headers.get("content-length", "0")
    body = bytearray()
    if not (told.isdecimal() and int(told) > most):
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                break
        else:
            return bytes(body)
    raise Refused(f"{what} is larger than {most / 2**20:g} MiB", 413)
