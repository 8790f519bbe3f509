"""What the page can ask, as JSON over HTTP."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from core.errors import DexmatchError
from pages.app import messages, verdicts
from pages.app.explanations import Abandoned, Explanations
from pages.app.folder import Folder, Found
from pages.app.guard import Guard
from pages.app.messages import Refused
from pages.app.model import Answer, Model
from pages.app.pictures import Picture, Pictures
from pages.app.tags import Tags
from pages.app.thresholds import Thresholds
from pages.app.verdicts import Kept, Verdict, Verdicts
from pages.pictures import small_jpeg
from serving.search.pictures import shown

_PREVIEW_SIDE, _PREVIEW_QUALITY = 1024, 88
_THUMBNAIL_SIDE, _THUMBNAIL_QUALITY = 320, 80
_GONE = 499
"""nginx's status for a client that did not wait for the answer, which it does not see."""
_DECODED_AT_ONCE = 2
"""Pictures; a large one takes hundreds of megabytes while it is decoded."""
_ASKED_AT_ONCE = 8
"""Where the model hangs, no more threads than these hang with it."""

_Handler = Callable[[Request], Awaitable[Response]]


class Routes:
    """The handlers.

    Args:
      name: of the model.
      model: is asked.
      thresholds: of its versions.
      folder: to search; None without one.
      tags: captions to choose from; None without any.
      kept: where verdicts are kept.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        thresholds: Thresholds,
        folder: Folder | None,
        tags: Tags | None,
        kept: Verdicts,
    ):
        self._name = name
        self._model = model
        self._thresholds = thresholds
        self._folder = folder
        self._tags = tags
        self._verdicts = kept
        self._pictures = Pictures()
        self._explanations = Explanations(model)
        self._decoding = anyio.CapacityLimiter(_DECODED_AT_ONCE)
        self._asking = anyio.CapacityLimiter(_ASKED_AT_ONCE)
        # One at a time: the model has to answer the questions of who types, too.
        self._explaining = anyio.CapacityLimiter(1)

    def listed(self) -> list[Route]:
        """All of them."""
        posts: dict[str, _Handler] = {
            "pictures": self.bring,
            "score": self.score,
            "explain": self.explain,
            "search": self.search,
            "alike": self.alike,
            "tags": self.tag,
            "folder/{id}/open": self.open,
            "verdicts": self.judge,
        }
        gets: dict[str, _Handler] = {
            "state": self.state,
            "pictures/{id}": self.preview,
            "folder/{id}": self.thumbnail,
        }
        return [
            *(Route(f"/api/{path}", each, methods=["POST"]) for path, each in posts.items()),
            *(Route(f"/api/{path}", each, methods=["GET"]) for path, each in gets.items()),
        ]

    async def state(self, request: Request) -> Response:
        """What there is: model, threshold, folder, tags, verdicts, limits."""
        del request
        version = self._model.version
        threshold = await run_sync(self._thresholds.of, version)
        count = await run_sync(self._verdicts.count)
        folder = self._folder
        return JSONResponse(
            {
                "model": {
                    "name": self._name,
                    "where": shown(self._model.client.where),
                    "version": str(version),
                },
                "threshold": {
                    "value": threshold.value,
                    "source": threshold.source,
                    "isBlessed": threshold.is_blessed,
                },
                "folder": folder
                and {
                    "name": shown(folder.path),
                    "total": folder.total,
                    "encoded": folder.encoded,
                    "unjudged": folder.unjudged,
                    "problem": folder.problem,
                },
                "tags": len(self._tags.captions) if self._tags else 0,
                "verdicts": self._told(count),
                "limits": {
                    "captions": messages.MAX_CAPTIONS,
                    "captionCharacters": messages.MAX_CAPTION_CHARACTERS,
                    "pictureBytes": messages.MAX_PICTURE_BYTES,
                },
            }
        )

    async def bring(self, request: Request) -> Response:
        """Takes a picture, and names it."""
        content = await messages.read_body(request, messages.MAX_PICTURE_BYTES, "the picture")
        picture = await run_sync(self._pictures.take, content, limiter=self._decoding)
        return JSONResponse({"picture": picture.id})

    async def open(self, request: Request) -> Response:
        """Takes a picture of the folder, and names it."""
        path = self._searched().path_of(request.path_params["id"])
        picture = await run_sync(self._pictures.open, path, limiter=self._decoding)
        return JSONResponse({"picture": picture.id, "name": shown(path.name)})

    async def preview(self, request: Request) -> Response:
        """A picture that is held, as the model sees it."""
        picture = self._pictures.get(request.path_params["id"])
        return await self._jpeg(lambda: picture.content, _PREVIEW_SIDE, _PREVIEW_QUALITY)

    async def thumbnail(self, request: Request) -> Response:
        """A picture of the folder, small."""
        path = self._searched().path_of(request.path_params["id"])
        return await self._jpeg(
            lambda: self._pictures.open(path).content, _THUMBNAIL_SIDE, _THUMBNAIL_QUALITY
        )

    async def _jpeg(self, read: Callable[[], bytes], side: int, quality: int) -> Response:
        content = await run_sync(lambda: small_jpeg(read(), side, quality), limiter=self._decoding)
        if content is None:
            raise Refused("the picture cannot be shown", 404)
        return Response(
            content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=600"}
        )

    async def score(self, request: Request) -> Response:
        """Probabilities that captions describe a picture."""
        asked = await messages.read(request, messages.Score)
        picture = self._pictures.get(asked.picture)
        answer = await run_sync(self._model.score, picture, asked.captions, limiter=self._asking)
        return self._answered(answer, probabilities=answer.value)

    async def explain(self, request: Request) -> Response:
        """What an answer loses when a part is hidden; given up when the page does not wait."""
        asked = await messages.read(request, messages.Explain)
        picture = self._pictures.get(asked.picture)
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
        return self._answered(
            answer,
            width=found.width,
            height=found.height,
            cells=[[*cell.box, cell.drop, cell.weight] for cell in found.cells],
            words=[[word.text, word.drop, word.weight] for word in found.words],
        )

    async def search(self, request: Request) -> Response:
        """The pictures of the folder that a caption describes best."""
        asked = await messages.read(request, messages.Search)
        answer = await run_sync(
            self._searched().search, asked.caption, asked.top, limiter=self._asking
        )
        return self._found(answer)

    async def alike(self, request: Request) -> Response:
        """The pictures of the folder that are like one."""
        asked = await messages.read(request, messages.Alike)
        picture = self._pictures.get(asked.picture)
        return self._found(
            await run_sync(self._searched().alike, picture, asked.top, limiter=self._asking)
        )

    def _found(self, answer: Answer[Found]) -> Response:
        hits = [
            {"id": picture_id, "name": shown(hit.path.name), "value": hit.probability}
            for picture_id, hit in answer.value.hits
        ]
        searched = self._searched()
        return self._answered(
            answer,
            hits=hits,
            encoded=answer.value.encoded,
            total=searched.total,
            problem=searched.problem,
        )

    def _searched(self) -> Folder:
        if self._folder is None:
            raise Refused("there is no folder to search: start the app with --images FOLDER", 404)
        return self._folder

    async def tag(self, request: Request) -> Response:
        """The captions of the list that describe a picture best."""
        asked = await messages.read(request, messages.Tags)
        if self._tags is None:
            raise Refused("there are no captions to choose from: start with --captions FILE", 404)
        answer = await run_sync(
            self._tags.best, self._pictures.get(asked.picture), limiter=self._asking
        )
        tags = [{"caption": caption, "value": value} for caption, value in answer.value]
        return self._answered(answer, tags=tags)

    async def judge(self, request: Request) -> Response:
        """Keeps a user's verdict."""
        asked = await messages.read(request, messages.Judge)
        picture = self._pictures.get(asked.picture)
        return JSONResponse(self._told(await run_sync(self._keep, asked, picture)))

    def _keep(self, asked: messages.Judge, picture: Picture) -> Kept:
        version = None if asked.version is None else int(asked.version)
        verdict = Verdict(
            picture=verdicts.file_name(picture),
            judged=asked.caption,
            describes=asked.describes,
            probability=asked.probability,
            version=version,
            threshold=None if version is None else self._thresholds.of(version).value,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        return self._verdicts.add(picture, verdict)

    def _told(self, kept: Kept) -> dict[str, Any]:
        return {
            "file": shown(self._verdicts.folder / verdicts.PAIRS),
            "pairs": kept.pairs,
            "waiting": kept.waiting,
            "truths": kept.truths,
        }

    def _answered(self, answer: Answer[Any], **fields: Any) -> Response:
        told = {"version": str(answer.version), "milliseconds": round(answer.milliseconds, 1)}
        return JSONResponse({**told, **fields})


def create_app(routes: Routes, host: str) -> Starlette:
    """The app as ASGI.

    Args:
      routes: what can be asked.
      host: the name that it listens on.
    """
    return Starlette(
        routes=[
            *routes.listed(),
            Mount("/", StaticFiles(packages=[("pages.app", "static")], html=True)),
        ],
        middleware=[Middleware(Guard, host=host)],
        exception_handlers={Refused: _refused, DexmatchError: _failed},
    )


async def _refused(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, Refused)
    # The rest of a body that is too large need not be waited for.
    headers = {"Connection": "close"} if error.status == 413 else None
    return JSONResponse({"error": str(error)}, error.status, headers)


async def _failed(request: Request, error: Exception) -> Response:
    """The model, or the disk, does not do what it should."""
    del request
    return JSONResponse({"error": str(error)}, 502)
