"""The handlers for a picture with captions: answers, what carries them, verdicts."""

import asyncio
import threading
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pages.app import messages, verdicts
from pages.app.context import Context, answered
from pages.app.explanations import Abandoned, Explanations
from pages.app.pictures import Picture
from pages.app.verdicts import Kept, Verdict
from serving.search.pictures import shown

_SIDE, _QUALITY = 1024, 88
_GONE = 499
"""nginx's status for a client that did not wait for the answer, which it does not see."""


class Judging:
    """The handlers.

    Args:
      context: what they share with others.
    """

    def __init__(self, context: Context):
        self._context = context
        self._explanations = Explanations(context.model)
        # One at a time: the model has to answer the questions of who types, too.
        self._explaining = anyio.CapacityLimiter(1)

    def routes(self) -> list[Route]:
        """Where they are found."""
        return [
            Route("/api/pictures", self.bring, methods=["POST"]),
            Route("/api/pictures/{id}", self.preview),
            Route("/api/score", self.score, methods=["POST"]),
            Route("/api/explain", self.explain, methods=["POST"]),
            Route("/api/tags", self.tag, methods=["POST"]),
            Route("/api/verdicts", self.judge, methods=["POST"]),
        ]

    async def bring(self, request: Request) -> Response:
        """Takes a picture, and names it."""
        content = await messages.read_body(request, messages.MAX_PICTURE_BYTES, "the picture")
        picture = await self._context.decode(self._context.pictures.take, content)
        return JSONResponse({"picture": picture.id})

    async def preview(self, request: Request) -> Response:
        """A picture that is held, as the model sees it."""
        picture = self._context.pictures.get(request.path_params["id"])
        return await self._context.jpeg(lambda: picture.content, _SIDE, _QUALITY)

    async def score(self, request: Request) -> Response:
        """Probabilities that captions describe a picture."""
        asked = await messages.read(request, messages.Score)
        picture = self._context.pictures.get(asked.picture)
        answer = await self._context.ask(self._context.model.score, picture, asked.captions)
        return answered(answer, probabilities=answer.value)

    async def explain(self, request: Request) -> Response:
        """What an answer loses when a part is hidden; given up when the page does not wait."""
        asked = await messages.read(request, messages.Explain)
        picture = self._context.pictures.get(asked.picture)
        is_abandoned = threading.Event()

        async def watch() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            is_abandoned.set()

        explain = partial(self._explanations.explain, picture, asked.caption, is_abandoned.is_set)
        watching = asyncio.create_task(watch())
        try:
            answer = await run_sync(explain, limiter=self._explaining)
        except Abandoned:
            return Response(status_code=_GONE)
        finally:
            watching.cancel()
        found = answer.value
        return answered(
            answer,
            width=found.width,
            height=found.height,
            cells=[[*cell.box, cell.drop, cell.weight] for cell in found.cells],
            words=[[word.text, word.drop, word.weight] for word in found.words],
        )

    async def tag(self, request: Request) -> Response:
        """The captions of the list that describe a picture best."""
        asked = await messages.read(request, messages.Tags)
        tags = self._context.tags
        if tags is None:
            raise messages.Refused(
                "there are no captions to choose from: start the app with --captions FILE", 404
            )
        answer = await self._context.ask(tags.best, self._context.pictures.get(asked.picture))
        found = [{"caption": caption, "value": value} for caption, value in answer.value]
        return answered(answer, tags=found)

    async def judge(self, request: Request) -> Response:
        """Keeps a user's verdict."""
        asked = await messages.read(request, messages.Judge)
        picture = self._context.pictures.get(asked.picture)
        kept = await run_sync(self._keep, asked, picture)
        return JSONResponse(told_verdicts(self._context, kept))

    def _keep(self, asked: messages.Judge, picture: Picture) -> Kept:
        version = None if asked.version is None else int(asked.version)
        known = None if version is None else self._context.thresholds.of(version)
        verdict = Verdict(
            picture=verdicts.file_name(picture),
            judged=asked.caption,
            describes=asked.describes,
            probability=asked.probability,
            version=version,
            threshold=known.value if known else None,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        return self._context.verdicts.add(picture, verdict)


def told_verdicts(context: Context, kept: Kept) -> dict[str, Any]:
    """What there is of verdicts, for JSON."""
    return {
        "file": shown(context.verdicts.folder / verdicts.PAIRS),
        "pairs": kept.pairs,
        "waiting": kept.waiting,
        "truths": kept.truths,
    }
