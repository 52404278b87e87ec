"""What headers say, as Python values. Knows HTTP; knows no message that carries them."""

from __future__ import annotations

from ..http import (
    dump_options_header,
    http_date,
    parse_date,
    parse_dict_header,
    parse_list_header,
    parse_options_header,
    parse_seconds,
)
from .accept import Accept, CharsetAccept, LanguageAccept, MIMEAccept, parse_accept_header
from .authorization import Authorization, WWWAuthenticate
from .caching import (
    CacheControl,
    RequestCacheControl,
    ResponseCacheControl,
    parse_cache_control_header,
)
from .content_security_policy import ContentSecurityPolicy, parse_csp_header
from .cookies import dump_cookie, parse_cookies
from .etags import ETags, generate_etag, parse_etags, quote_etag, unquote_etag
from .mappings import Headers, HeadersView, RequestHeaders
from .ranges import (
    ContentRange,
    IfRange,
    Range,
    parse_content_range_header,
    parse_if_range_header,
    parse_range_header,
)
from .sets import HeaderSet, parse_set_header
from .user_agent import UserAgent

__all__ = [
    "Accept",
    "Authorization",
    "CacheControl",
    "CharsetAccept",
    "ContentRange",
    "ContentSecurityPolicy",
    "ETags",
    "HeaderSet",
    "Headers",
    "HeadersView",
    "IfRange",
    "LanguageAccept",
    "MIMEAccept",
    "Range",
    "RequestCacheControl",
    "RequestHeaders",
    "ResponseCacheControl",
    "UserAgent",
    "WWWAuthenticate",
    "dump_cookie",
    "dump_options_header",
    "generate_etag",
    "http_date",
    "parse_accept_header",
    "parse_cache_control_header",
    "parse_content_range_header",
    "parse_cookies",
    "parse_csp_header",
    "parse_date",
    "parse_dict_header",
    "parse_etags",
    "parse_if_range_header",
    "parse_list_header",
    "parse_options_header",
    "parse_range_header",
    "parse_seconds",
    "parse_set_header",
    "quote_etag",
    "unquote_etag",
]
