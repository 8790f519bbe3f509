"""The handlers for a folder of pictures that is searched."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pages.app import messages, pictures
from pages.app.context import Context, answered
from pages.app.folder import Folder, Found
from pages.app.messages import Refused
from pages.app.model import Answer
from serving.search.pictures import shown

_SIDE, _QUALITY = 320, 80


class Searching:
    """The handlers.

    Args:
      context: what they share with others.
    """

    def __init__(self, context: Context):
        self._context = context

    def routes(self) -> list[Route]:
        """Where they are found."""
        return [
            Route("/api/folder/{id}/open", self.open, methods=["POST"]),
            Route("/api/folder/{id}", self.thumbnail),
            Route("/api/search", self.search, methods=["POST"]),
            Route("/api/alike", self.alike, methods=["POST"]),
        ]

    @property
    def _folder(self) -> Folder:
        if self._context.folder is None:
            raise Refused("there is no folder to search: start the app with --images FOLDER", 404)
        return self._context.folder

    async def open(self, request: Request) -> Response:
        """Takes a picture of the folder, and names it."""
        path = self._folder.path_of(request.path_params["id"])
        picture = await self._context.decode(self._context.pictures.open, path)
        return JSONResponse({"picture": picture.id})

    async def thumbnail(self, request: Request) -> Response:
        """A picture of the folder, small."""
        path = self._folder.path_of(request.path_params["id"])
        return await self._context.jpeg(lambda: pictures.read(path), _SIDE, _QUALITY)

    async def search(self, request: Request) -> Response:
        """The pictures of the folder that a caption describes best."""
        asked = await messages.read(request, messages.Search)
        return self._found(await self._context.ask(self._folder.search, asked.caption, asked.top))

    async def alike(self, request: Request) -> Response:
        """The pictures of the folder that are like one."""
        asked = await messages.read(request, messages.Alike)
        picture = self._context.pictures.get(asked.picture)
        return self._found(await self._context.ask(self._folder.alike, picture, asked.top))

    def _found(self, answer: Answer[Found]) -> Response:
        hits = [
            {"id": picture_id, "name": shown(hit.path.name), "value": hit.probability}
            for picture_id, hit in answer.value.hits
        ]
        folder = self._folder
        return answered(
            answer,
            hits=hits,
            encoded=answer.value.encoded,
            total=folder.total,
            unjudged=folder.unjudged,
            problem=folder.problem,
        )
