"""How much a form may send, and what is raised of one that is not taken. Knows no parser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["BrokenForm", "FormError", "FormLimits", "FormTooLarge", "PartHead", "check_limit"]


@dataclass(frozen=True, slots=True)
class FormLimits:
    """How much a form may send; files count in ``max_parts`` only.

    The length of the whole body is not a matter of forms: it is checked before they see it.
    """

    max_memory: int | None = 500_000
    """Bytes of all fields that are not files, names included; ``None`` lifts the limit.

    A urlencoded form is counted as it is sent, ``%C3%A9`` as six bytes.
    """
    max_parts: int | None = 1000
    """Fields and files together; ``None`` lifts the limit."""
    max_header_bytes: int = 8192
    """Bytes of the headers of one part; more than 32 of them are a broken form."""
    max_file_memory: int = 500_000
    """Bytes of one file that stay in memory; no limit, a longer file goes to the disk."""


class FormError(ValueError):
    """A client sent a form that is not taken."""


class FormTooLarge(FormError):
    """A form goes over one of its :class:`FormLimits`."""

    def __init__(self, limit_name: str, *, limit: int, size: int) -> None:
        super().__init__(f"The form has {size} of at most {limit} ({limit_name})")
        self.limit_name = limit_name
        """The attribute of :class:`FormLimits` that was reached."""
        self.limit = limit
        """What is allowed."""
        self.size = size
        """What had come when reading stopped; the form may be larger."""


class BrokenForm(FormError):
    """A form ends too early, or is not what its content type says."""


# PERF: no NamedTuple, with which 1000 fields take 9.7 ms instead of 8.9 (bench/forms.py).
PartHead: TypeAlias = "tuple[str, str | None, list[tuple[str, str]]]"
"""How a part begins: name, file name (``None`` if it is a field) and headers."""


def check_limit(limit_name: str, limit: int | None, size: int) -> None:
    """Raise :class:`FormTooLarge` if *size* is over *limit*."""
    if limit is not None and size > limit:
        raise FormTooLarge(limit_name, limit=limit, size=size)
