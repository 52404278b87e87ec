"""Where a page may load things from. Knows the directives, not what is good for a site."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, overload

from ..http import find_control, is_token

__all__ = ["ContentSecurityPolicy", "parse_csp_header"]


class _Directive:
    """A directive as an attribute, named like it with ``_`` for ``-``."""

    __slots__ = ("name",)

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name.replace("_", "-")

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> _Directive: ...
    @overload
    def __get__(self, instance: ContentSecurityPolicy, owner: type[Any]) -> str | None: ...
    def __get__(
        self, instance: ContentSecurityPolicy | None, owner: type[Any]
    ) -> _Directive | str | None:
        return self if instance is None else instance.get(self.name)

    def __set__(self, instance: ContentSecurityPolicy, value: str | None) -> None:
        if value is None:
            instance.pop(self.name, None)
        else:
            instance[self.name] = value

    def __delete__(self, instance: ContentSecurityPolicy) -> None:
        instance.pop(self.name, None)


class ContentSecurityPolicy(MutableMapping[str, str]):
    """The directives of a ``Content-Security-Policy`` header, also as attributes.

    ``policy.script_src = "'self'"``; ``None`` removes a directive. *on_update* is called with
    this object after each change.
    """

    __slots__ = ("_directives", "on_update")

    def __init__(
        self,
        directives: Mapping[str, str] | None = None,
        on_update: Callable[[ContentSecurityPolicy], object] | None = None,
    ) -> None:
        self._directives = dict(directives or {})
        self.on_update = on_update

    base_uri = _Directive()
    child_src = _Directive()
    connect_src = _Directive()
    default_src = _Directive()
    font_src = _Directive()
    form_action = _Directive()
    frame_ancestors = _Directive()
    frame_src = _Directive()
    img_src = _Directive()
    manifest_src = _Directive()
    media_src = _Directive()
    object_src = _Directive()
    report_to = _Directive()
    report_uri = _Directive()
    require_trusted_types_for = _Directive()
    sandbox = _Directive()
    script_src = _Directive()
    script_src_attr = _Directive()
    script_src_elem = _Directive()
    style_src = _Directive()
    style_src_attr = _Directive()
    style_src_elem = _Directive()
    trusted_types = _Directive()
    upgrade_insecure_requests = _Directive()
    worker_src = _Directive()

    def to_header(self) -> str:
        """Write the header."""
        return "; ".join(f"{name} {value}".rstrip() for name, value in self._directives.items())

    def __getitem__(self, name: str) -> str:
        return self._directives[name]

    def __setitem__(self, name: str, value: str) -> None:
        if not is_token(name) or ";" in value or "," in value or find_control(value) is not None:
            raise ValueError(
                f"Content-Security-Policy cannot have {name!r}: {value!r}. Semicolons, commas and"
                " control characters would start something else."
            )
        self._directives[name] = value
        self._tell()

    def __delitem__(self, name: str) -> None:
        del self._directives[name]
        self._tell()

    def __iter__(self) -> Iterator[str]:
        return iter(self._directives)

    def __len__(self) -> int:
        return len(self._directives)

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._directives!r})"

    def _tell(self) -> None:
        if self.on_update is not None:
            self.on_update(self)


def parse_csp_header(
    value: str | None, on_update: Callable[[ContentSecurityPolicy], object] | None = None
) -> ContentSecurityPolicy:
    """Parse a ``Content-Security-Policy`` header; of a directive named twice the first counts."""
    directives: dict[str, str] = {}
    for part in (value or "").split(";"):
        name, _, sources = part.strip().partition(" ")
        if name:
            directives.setdefault(name.lower(), sources.strip())
    return ContentSecurityPolicy(directives, on_update)
