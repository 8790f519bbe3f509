"""What the handlers of the app share: the model, what else they ask, and how they answer."""

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
from anyio.to_thread import run_sync
from starlette.responses import JSONResponse, Response

from pages.app.folder import Folder
from pages.app.messages import Refused
from pages.app.model import Answer, Model
from pages.app.pictures import Pictures
from pages.app.tags import Tags
from pages.app.thresholds import Thresholds
from pages.app.verdicts import Verdicts
from pages.pictures import small_jpeg

_DECODED_AT_ONCE = 2
"""Pictures; a large one takes hundreds of megabytes while it is decoded."""
_ASKED_AT_ONCE = 8
"""Where the model hangs, no more threads than these hang with it."""

_Result = TypeVar("_Result")


class Context:
    """An app.

    Args:
      name: of the model.
      model: is asked.
      thresholds: of its versions.
      folder: to search; None without one.
      tags: captions to choose from; None without any.
      verdicts: where they are kept.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        thresholds: Thresholds,
        folder: Folder | None,
        tags: Tags | None,
        verdicts: Verdicts,
    ):
        self.name = name
        self.model = model
        self.thresholds = thresholds
        self.folder = folder
        self.tags = tags
        self.verdicts = verdicts
        self.pictures = Pictures()
        self._decoding = anyio.CapacityLimiter(_DECODED_AT_ONCE)
        self._asking = anyio.CapacityLimiter(_ASKED_AT_ONCE)

    async def ask(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """Does what asks the model, in a thread."""
        return await run_sync(work, *arguments, limiter=self._asking)

    async def decode(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """Does what decodes a picture, in a thread."""
        return await run_sync(work, *arguments, limiter=self._decoding)

    async def jpeg(self, read: Callable[[], bytes], side: int, quality: int) -> Response:
        """A small JPEG.

        Args:
          read: gives the encoded picture; called in a thread.
          side: pixels that neither side is longer than.
          quality: of the JPEG.

        Raises:
          Refused: it cannot be shown.
        """
        content = await self.decode(lambda: small_jpeg(read(), side, quality))
        if content is None:
            raise Refused("the picture cannot be shown", 404)
        headers = {"Cache-Control": "private, max-age=600"}
        return Response(content, media_type="image/jpeg", headers=headers)


def answered(answer: Answer[Any], **fields: Any) -> Response:
    """JSON of what a version of the model said."""
    told = {"version": str(answer.version), "milliseconds": round(answer.milliseconds, 1)}
    return JSONResponse({**told, **fields})
