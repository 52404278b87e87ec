"""JSON that keeps Python's types, as the session cookie needs it. Knows no app's settings."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import datetime
from types import NoneType
from typing import Any, ClassVar
from uuid import UUID

from markupsafe import Markup

from ..http import http_date, parse_date
from .provider import kept_encoder, plain_with_http_dates

__all__ = [
    "JSONTag",
    "PassDict",
    "PassList",
    "TagBytes",
    "TagDateTime",
    "TagDict",
    "TagMarkup",
    "TagTuple",
    "TagUUID",
    "TaggedJSONSerializer",
]


class JSONTag:
    """How the values of one kind are written: as a dict whose only key is the tag.

    Subclass it for a type of your own, then ``register`` it with a serializer::

        class TagSet(JSONTag):
            key = " s"

            def check(self, value):
                return isinstance(value, set)

            def to_json(self, value):
                return [self.serializer.tag(item) for item in value]

            def to_python(self, value):
                return set(value)
    """

    __slots__ = ("serializer",)

    key: ClassVar[str] = ""
    """The tag, by custom a space and letters; ``""`` if values are written without one."""

    instances_of: ClassVar[type | None] = None
    """The type that :meth:`check` looks for, unless it is overridden."""

    def __init__(self, serializer: TaggedJSONSerializer) -> None:
        self.serializer = serializer

    def check(self, value: Any) -> bool:
        """Return whether *value* is of this kind."""
        if self.instances_of is None:
            raise NotImplementedError(f"{type(self).__name__} has to say what it is for (check).")
        return isinstance(value, self.instances_of)

    def to_json(self, value: Any) -> Any:
        """Return *value* in types that JSON has, with the items inside tagged."""
        raise NotImplementedError(f"{type(self).__name__} has to say how to write (to_json).")

    def to_python(self, value: Any) -> Any:
        """Return the value for what :meth:`to_json` returned, with the items inside restored."""
        raise NotImplementedError(f"{type(self).__name__} has to say how to read (to_python).")

    def tag(self, value: Any) -> Any:
        """Return what is written for *value*."""
        written = self.to_json(value)
        return {self.key: written} if self.key else written


class TagDict(JSONTag):
    """A dict that would be taken for a tagged value: its key gets two underscores more."""

    __slots__ = ()
    key = " di"

    def check(self, value: Any) -> bool:
        """Return whether *value* is a dict with a tag as its only key."""
        if not isinstance(value, dict):
            return False
        found: Any = value  # pyright: ignore[reportUnknownVariableType]: whatever is in it
        return len(found) == 1 and next(iter(found)) in self.serializer.tags

    def to_json(self, value: Any) -> Any:
        """Return the dict with its key marked."""
        [(key, item)] = value.items()
        return {f"{key}__": self.serializer.tag(item)}

    def to_python(self, value: Any) -> Any:
        """Return the dict with its key as it was."""
        [(key, item)] = value.items()
        return {key.removesuffix("__"): item}


class PassDict(JSONTag):
    """Any other dict. Its keys come back as str, as always in JSON."""

    __slots__ = ()
    instances_of = dict

    def to_json(self, value: Any) -> Any:
        """Return the dict with its values tagged."""
        plain, tag = self.serializer.plain, self.serializer.tag
        return {key: item if type(item) in plain else tag(item) for key, item in value.items()}


class TagTuple(JSONTag):
    """A tuple, written as a list."""

    __slots__ = ()
    key = " t"
    instances_of = tuple

    def to_json(self, value: Any) -> Any:
        """Return a list of the items, tagged."""
        plain, tag = self.serializer.plain, self.serializer.tag
        return [item if type(item) in plain else tag(item) for item in value]

    def to_python(self, value: Any) -> Any:
        """Return the items as a tuple."""
        return tuple(value)


class PassList(JSONTag):
    """A list."""

    __slots__ = ()
    instances_of = list

    def to_json(self, value: Any) -> Any:
        """Return a list of the items, tagged."""
        plain, tag = self.serializer.plain, self.serializer.tag
        return [item if type(item) in plain else tag(item) for item in value]


class TagBytes(JSONTag):
    """Bytes, written as base 64 with padding."""

    __slots__ = ()
    key = " b"
    instances_of = bytes

    def to_json(self, value: Any) -> Any:
        """Return base 64."""
        return b64encode(value).decode("ascii")

    def to_python(self, value: Any) -> Any:
        """Return the bytes."""
        return b64decode(value)


class TagMarkup(JSONTag):
    """What knows its HTML by a method ``__html__``; it comes back as ``Markup``."""

    __slots__ = ()
    key = " m"

    def check(self, value: Any) -> bool:
        """Return whether *value* has such a method."""
        return callable(getattr(value, "__html__", None))

    def to_json(self, value: Any) -> Any:
        """Return the HTML."""
        return str(value.__html__())

    def to_python(self, value: Any) -> Any:
        """Return the HTML, not to be escaped again."""
        return Markup(value)


class TagUUID(JSONTag):
    """A UUID, written as its 32 hexadecimal digits."""

    __slots__ = ()
    key = " u"
    instances_of = UUID

    def to_json(self, value: Any) -> Any:
        """Return the digits."""
        return value.hex

    def to_python(self, value: Any) -> Any:
        """Return the UUID."""
        return UUID(value)


class TagDateTime(JSONTag):
    """A datetime, written as HTTP does: in whole seconds and GMT, in which it comes back."""

    __slots__ = ()
    key = " d"
    instances_of = datetime

    def to_json(self, value: Any) -> Any:
        """Return the date; without a timezone, it is taken for UTC."""
        return http_date(value)

    def to_python(self, value: Any) -> Any:
        """Return an aware datetime; None for what is not a date."""
        return parse_date(value)


class TaggedJSONSerializer:
    """Compact JSON that keeps tuples, bytes, ``Markup``, UUIDs and datetimes apart.

    # FLASK: the text is that of its session cookie, byte for byte: sorted keys, ASCII, and
    # dates as in HTTP, whatever ``app.json`` is set to.
    """

    __slots__ = ("_restored", "_scan", "order", "plain", "tags")

    default_tags: ClassVar[list[type[JSONTag]]] = [
        TagDict,
        PassDict,
        TagTuple,
        PassList,
        TagBytes,
        TagMarkup,
        TagUUID,
        TagDateTime,
    ]
    """The tags that every serializer starts with, in the order in which they are asked."""

    def __init__(self) -> None:
        self.tags: dict[str, JSONTag] = {}
        self.order: list[JSONTag] = []
        self.plain: frozenset[type] = frozenset()
        """The types that no tag is meant for."""
        # The decoder calls it from the inside out, as tags take what is inside for restored.
        decoder: Any = json.JSONDecoder(object_hook=self.untag)
        self._restored: Any = decoder.decode
        self._scan: Any = decoder.scan_once
        for tag_class in self.default_tags:
            self.register(tag_class)
        if self.default_tags is TaggedJSONSerializer.default_tags:
            self.plain = _JSON_SCALARS

    def register(
        self, tag_class: type[JSONTag], force: bool = False, index: int | None = None
    ) -> None:
        """Add a tag; it is asked at the place *index* of :attr:`order`, else last.

        The tag of a subclass has to be asked before that of its base: ``index=0``.

        :raises KeyError: if the key has a tag already, and not *force*.
        """
        tag = tag_class(self)
        if tag.key and tag.key in self.tags and not force:
            raise KeyError(
                f"The tag {tag.key!r} is taken by {type(self.tags[tag.key]).__name__}. Give"
                f" {tag_class.__name__} another key, or pass force=True to replace it."
            )
        if tag.key:
            self.tags[tag.key] = tag
        self.order.insert(len(self.order) if index is None else index, tag)
        self.plain = frozenset()

    def tag(self, value: Any) -> Any:
        """Return *value* in types that JSON has, tagged where they are not its own."""
        # PERF: asking eight tags about each str doubles the time of dumps (timeit on what a
        # login keeps). A tag of the user's may be meant for these types: then all are asked.
        if type(value) in self.plain:
            return value
        for tag in self.order:
            if tag.check(value):
                return tag.tag(value)
        return value

    def untag(self, value: dict[str, Any]) -> Any:
        """Return the value that a tagged dict stands for; any other dict as it is."""
        if len(value) != 1:
            return value
        [(key, item)] = value.items()
        return self.tags[key].to_python(item) if key in self.tags else value

    def dumps(self, value: Any) -> str:
        """Write *value* as tagged JSON."""
        return _encode(self.tag(value))

    def loads(self, value: str) -> Any:
        """Read what :meth:`dumps` wrote."""
        # PERF: what dumps wrote has no blanks around it, which decode looks for with two regexes.
        try:
            found, end = self._scan(value, 0)
        except StopIteration:
            found, end = None, -1
        return found if end == len(value) else self._restored(value)


_JSON_SCALARS: frozenset[type] = frozenset({str, int, float, bool, NoneType})

_encode = kept_encoder(
    json.JSONEncoder(separators=(",", ":"), sort_keys=True, default=plain_with_http_dates)
)
