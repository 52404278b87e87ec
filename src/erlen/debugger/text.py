"""A traceback as plain text, for terminals and for clients that do not read HTML."""

from __future__ import annotations

import traceback

from ..logs import printable
from .failures import is_yours, without_entrance

__all__ = ["traceback_text"]


def traceback_text(error: BaseException) -> str:
    """Return the traceback of *error* as Python prints it, from the app's own code on.

    What a server, a framework and the import system did before that is left out; of an
    error in the syntax only the place is left. Control characters are escaped: the text is
    read on terminals, and the message may be what a client sent.
    """
    start = without_entrance(error.__traceback__)
    if isinstance(error, SyntaxError) and (
        start is None or not is_yours(start.tb_frame.f_code.co_filename)
    ):
        start = None
    text = "".join(traceback.format_exception(type(error), error, start))
    return "\n".join(_shown(line) for line in text.split("\n"))


def _shown(line: str) -> str:
    return "\t".join(printable(part) for part in line.split("\t"))
