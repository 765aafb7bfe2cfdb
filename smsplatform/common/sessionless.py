"""Views for machines and passers-by are answered before anybody looks for a session, a user or messages.

That look costs more than most of these views do themselves (docs/performance.md).
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse
from django.urls import Resolver404, resolve

View = Callable[..., HttpResponse]


def sessionless(view: View) -> View:
    """Mark a view that needs nothing of what the middleware behind `Sessionless` adds to a request. Outermost decorator."""
    view.is_sessionless = True  # type: ignore[attr-defined]
    return view


class Sessionless:
    """Middleware: answers sessionless views itself, and leaves all others to those behind it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            found = resolve(request.path_info)
        except Resolver404:
            return self.get_response(request)
        if not getattr(found.func, "is_sessionless", False):
            return self.get_response(request)
        request.resolver_match = found
        answer: HttpResponse = found.func(request, *found.args, **found.kwargs)
        if isinstance(answer, SimpleTemplateResponse):  # what REST framework answers is rendered late
            answer = answer.render()
        answer.headers.setdefault("Content-Length", str(len(answer.content)))
        return answer
