"""What headers say, as Python values. Knows HTTP; knows no message that carries them."""

from __future__ import annotations

from ..http import (
    dump_options_header,
    http_date,
    parse_date,
    parse_dict_header,
    parse_list_header,
    parse_options_header,
)
from .cookies import dump_cookie, parse_cookies
from .mappings import Headers, HeadersView, RequestHeaders

__all__ = [
    "Headers",
    "HeadersView",
    "RequestHeaders",
    "dump_cookie",
    "dump_options_header",
    "http_date",
    "parse_cookies",
    "parse_date",
    "parse_dict_header",
    "parse_list_header",
    "parse_options_header",
]
