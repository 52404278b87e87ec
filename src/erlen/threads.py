"""The pipelines of ``def`` views: one thread runs all steps of a request, in ``flow``'s order."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from inspect import isawaitable
from typing import Any, TypeAlias, cast

from .binding import Step, hop
from .concurrency import Relay, drive, is_async, wait_for
from .context import Context
from .deadlines import thread_in_time
from .exceptions import HTTPException
from .flow import Flow
from .registry import Inline
from .requests import Request
from .responses import RawHeaders, Response
from .results import Foreign, Plain
from .sending import tells_departure
from .typing import Hook

__all__ = ["Handler", "brief", "leading_async", "owned"]

Handler: TypeAlias = Callable[[Context[Any]], Awaitable[None]]


def owned(
    loop_flow: Flow,
    flow: Flow,
    view: Step,
    *,
    ahead: int,
    prefetch: bool,
    seconds: float | None,
) -> Handler:
    """Compile the pipeline of a ``def`` view: one thread runs all of its ``def`` steps.

    The first *ahead* before hooks run on the loop, and so does everything else if one of
    them answers.
    """

    async def serve(context: Context[Any]) -> None:
        failure: BaseException | None = None
        try:
            response = None
            if ahead:
                response = await loop_flow.answer(context, None, loop_flow.before[:ahead])
            if response is None:
                if prefetch:
                    await _prefetch(context)
                thread = _InThread(context, flow, view, flow.before[ahead:], first=ahead == 0)
                answering = thread.answer(loop_flow, thread.run)
                if seconds is None:
                    response = await answering
                else:
                    response = await thread_in_time(
                        loop_flow, context, answering, seconds, has_begun=lambda: thread.begun
                    )
            if response is not None:
                await loop_flow.send(context, response)
        except BaseException as error:
            failure = error
            raise
        finally:
            over = context.torn_down or context.forsaken
            if not over and "erlen.keep" not in context.scope:
                # It must not wait for a thread: what waits for one is dropped by a cancel.
                context.admitted = True
                await hop(context, lambda: drive(flow.teardown(context, failure)))
            failure = None  # it knows this frame, and the two would stay

    return serve


def brief(
    loop_flow: Flow,
    flow: Flow,
    view: Callable[..., Any],
    plain: Mapping[type[Any], Callable[[Any], Plain]],
    full: Handler,
) -> Handler:
    """Compile the pipeline of a ``def`` view that nothing surrounds.

    PERF: for a plain answer it does in the thread what ``owned`` does, without driving the
    steps that are not there (bench/pool.py). Whatever is unusual goes the long way: ahead of
    the view to *full*, and from the outcome of the view on with the steps of ``_InThread``.
    """

    async def serve(context: Context[Any]) -> None:
        if not _BODIES.isdisjoint([name for name, _ in context.scope["headers"]]):
            return await full(context)
        failure: BaseException | None = None
        thread = _InThread(context, flow, _Outcome(), ())
        try:
            answer = await thread.answer(loop_flow, partial(thread.run_brief, view, plain))
            if answer.__class__ is tuple:
                await _send_plain(context, *answer)
            else:
                await loop_flow.send(context, answer)
        except BaseException as error:
            failure = error
            raise
        finally:
            if not (context.torn_down or context.forsaken):
                await hop(context, lambda: drive(flow.teardown(context, failure)))
            failure = None  # it knows this frame, and the two would stay
        return None

    return serve


_BODIES = frozenset({b"content-length", b"transfer-encoding"})
"""What announces a body."""


class _Outcome:
    """What a view has returned or raised already, as a step."""

    __slots__ = ("error", "value")

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None

    async def __call__(self, context: Context[Any]) -> Any:
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error
        value, self.value = self.value, None
        return wait_for(_awaited, value) if isawaitable(value) else value


async def _send_plain(context: Context[Any], headers: RawHeaders, body: bytes) -> None:
    """Send a 200 that no step has to see."""
    scope, send = context.scope, context.send
    scope["erlen.sent"] = "http.response.start"
    if scope["method"] == "HEAD":
        body = b""
    try:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    except OSError:
        if not tells_departure(scope):
            raise


async def _prefetch(context: Context[Any]) -> None:
    """Read the body before the view takes a thread; an error waits for the first access."""
    request: Request = context.request
    if request.has_body:
        try:
            await request.prefetch()
        except HTTPException:
            return


class _InThread:
    """The ``def`` part of one pipeline, which one thread runs up to the response.

    A buffered response, or a file, comes back when its teardown is done. A ``def`` generator
    comes back at once as a relay, while the thread goes on to fill it. Another async stream
    comes back before the teardown, which is a second hop.
    """

    __slots__ = ("before", "begun", "context", "first", "flow", "response", "view")

    def __init__(
        self,
        context: Context[Any],
        flow: Flow,
        view: Step,
        before: Sequence[Step],
        *,
        first: bool = True,
    ) -> None:
        self.context = context
        self.flow = flow
        self.view = view
        self.before = before
        self.first = first
        self.begun = False
        self.response: Response | None = None

    async def answer(self, loop_flow: Flow, run: Callable[[Callable[[Any], bool]], Any]) -> Any:
        """Let a thread *run* this, and return what it hands over; on the loop."""
        try:
            return await hop(self.context, run, early=True)
        except HTTPException as error:
            if self.begun:
                raise
            # 503: no thread was free, so not one def step has run.
            return await loop_flow.rescue(self.context, error)
        except BaseException:
            if self.response is not None and not self.context.forsaken:
                await self.response.aclose()
            raise

    def run_brief(
        self,
        view: Callable[..., Any],
        plain: Mapping[type[Any], Callable[[Any], Plain]],
        hand: Callable[[Any], bool],
    ) -> Response | Plain | None:
        """Call *view*; lay out its answer, or do all that it takes to make one."""
        self.begun = True
        context, outcome = self.context, cast(_Outcome, self.view)
        context.stage = "view"
        try:
            value = view(**cast("dict[str, Any]", context.params))
            lay_out = plain.get(value.__class__)
            if lay_out is not None and not context.untidy and not context.forsaken:
                answer = lay_out(value)
                if not context.untidy:
                    if not self.flow.nothing_to_tear_down(context):
                        drive(self.flow.teardown(context, None))
                    context.closed = context.closed or context.forsaken
                    return answer
                # What the JSON provider has touched wants to see a response.
                value = context.app.results.response(*answer)
            outcome.value = value
        except BaseException as error:
            outcome.error = error
        return drive(self.steps(hand))

    def run(self, hand: Callable[[Any], bool]) -> Response | None:
        """Run all steps."""
        self.begun = True
        return drive(self.steps(hand))

    async def steps(self, hand: Callable[[Any], bool]) -> Response | None:
        """Run the steps and the teardown; none of them suspends here."""
        context, flow = self.context, self.flow
        failure: BaseException | None = None
        relay: Relay | None = None
        response: Response | None = None
        try:
            response = await flow.answer(context, self.view, self.before, first=self.first)
            self.response = response
            stream = cast(Response, response).stream
            own = not isinstance(response, Foreign) and stream is not None
            if own and not isinstance(stream, AsyncIterable):
                relay = Relay(cast(Any, context.loop), lent=context.scope.get("erlen.owner"))
                cast(Response, response).stream = relay
                if not hand(response):
                    relay.stop()
                relay.pump(cast("Iterable[Any]", stream))
        except BaseException as error:
            failure = error
            raise
        finally:
            waits = relay is None and response is not None and _runs_code(response)
            try:
                if context.forsaken and relay is None and response is not None:
                    await flow.bind.discard(response)
                if (not waits and "erlen.keep" not in context.scope) or context.forsaken:
                    await flow.teardown(context, failure)
            finally:
                failure = None  # it knows this frame, and the two would stay
                if relay is not None:
                    relay.finish()
                context.closed = context.closed or context.forsaken
        return response


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


def _runs_code(response: Response) -> bool:
    """Say whether code of the app runs while *response* is sent."""
    stream = response.stream
    return stream is not None and not getattr(stream, "from_path", False)


def leading_async(hooks: Sequence[Hook]) -> int:
    """Count the before hooks that run on the loop ahead of the first ``def`` step.

    They can refuse a request before its body is read and before it takes a thread.
    """
    count = 0
    for hook in hooks:
        if not (is_async(hook) or isinstance(hook, Inline)):
            break
        count += 1
    return count
