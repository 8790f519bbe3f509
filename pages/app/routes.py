"""The app as ASGI: what there is, the handlers, the files of the page."""

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from core.errors import DexmatchError
from pages.app import messages
from pages.app.context import Context
from pages.app.guard import Guard
from pages.app.judging import Judging, told_verdicts
from pages.app.messages import Refused
from pages.app.searching import Searching
from serving.search.pictures import shown


def create_app(context: Context, host: str) -> Starlette:
    """The app.

    Args:
      context: what it has.
      host: the name that it listens on.
    """

    async def state(request: Request) -> Response:
        del request
        return await _state(context)

    return Starlette(
        routes=[
            Route("/api/state", state),
            *Judging(context).routes(),
            *Searching(context).routes(),
            Mount("/", StaticFiles(packages=[("pages.app", "static")], html=True)),
        ],
        middleware=[Middleware(Guard, host=host)],
        exception_handlers={Refused: _refused, DexmatchError: _failed},
    )


async def _state(context: Context) -> Response:
    """What there is: model, threshold, folder, tags, verdicts, limits."""
    version = context.model.version
    threshold = await run_sync(context.thresholds.of, version)
    count = await run_sync(context.verdicts.count)
    folder = context.folder
    return JSONResponse(
        {
            "model": {
                "name": context.name,
                "where": shown(context.model.client.where),
                "version": str(version),
            },
            "threshold": {
                "value": threshold.value,
                "source": threshold.source,
                "isBlessed": threshold.is_blessed,
            },
            "folder": folder
            and {
                "total": folder.total,
                "encoded": folder.encoded,
                "unjudged": folder.unjudged,
                "problem": folder.problem,
            },
            "tags": len(context.tags.captions) if context.tags else 0,
            "verdicts": told_verdicts(context, count),
            "limits": {
                "captions": messages.MAX_CAPTIONS,
                "captionCharacters": messages.MAX_CAPTION_CHARACTERS,
                "pictureBytes": messages.MAX_PICTURE_BYTES,
            },
        }
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
