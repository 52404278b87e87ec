"""Texts that their reader can trust, signed as itsdangerous signs. Knows no session."""

from __future__ import annotations

import hmac
import zlib
from binascii import a2b_base64, b2a_base64
from typing import Any

from itsdangerous import BadTimeSignature, TimestampSigner, URLSafeTimedSerializer, want_bytes

__all__ = ["ReadySerializer"]

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = bytes.maketrans(b"-_", b"+/")


class ReadySerializer(URLSafeTimedSerializer):
    """Writes what its base writes and trusts what its base trusts, in fewer steps.

    The signer and the key of its signatures are made once. What the newest key signed is
    recognised here. Everything else is left to the base, which has the last word: what an
    older key signed, what is too old, forged or malformed.
    """

    def __init__(
        self, keys: tuple[str | bytes, ...], salt: str, serializer: Any, **options: Any
    ) -> None:
        secret: Any = keys
        super().__init__(secret, salt, serializer, signer_kwargs=options)
        self._signer = TimestampSigner(secret, salt, **options)
        self._mac = hmac.new(self._signer.derive_key(), digestmod=self._signer.digest_method)
        self._date = -1, b""  # the second of the last cookie that was signed, and how it is written

    def dumps(self, obj: Any, salt: str | bytes | None = None) -> str:
        """Write *obj* with a date and the signature of both."""
        if salt is not None:
            return super().dumps(obj, salt)
        now = self._signer.get_timestamp()
        second, date = self._date
        if second != now:
            date = _encoded(now.to_bytes(8, "big").lstrip(b"\0"))
            self._date = now, date
        dated = b"%b.%b" % (self.dump_payload(obj), date)
        return (b"%b.%b" % (dated, self._signature(dated))).decode("ascii")

    # Its parent takes salt second, and its grandparent first.
    def loads(  # type: ignore[override]
        self,
        s: str | bytes,
        max_age: int | None = None,
        return_timestamp: bool = False,
        salt: str | bytes | None = None,
    ) -> Any:
        """Read what :meth:`dumps` wrote, at most *max_age* seconds ago; ``None``: ever.

        :raises itsdangerous.BadData: if it is anything else.
        """
        if max_age is not None and not return_timestamp and salt is None:
            dated, _, signature = want_bytes(s).rpartition(b".")
            payload, dot, date = dated.rpartition(b".")
            if (
                dot
                and hmac.compare_digest(signature, self._signature(dated))
                and 0 <= self._signer.get_timestamp() - _number(date) <= max_age
            ):
                return self.load_payload(payload)
        try:
            return super().loads(s, max_age, return_timestamp, salt)
        except (ValueError, OverflowError, OSError) as error:
            # The base trusts the signature and makes a date of any number.
            raise BadTimeSignature("The date is none that a calendar has.") from error

    def dump_payload(self, obj: Any) -> bytes:
        """Write *obj* in base 64, and compressed where that is shorter."""
        text = want_bytes(self.serializer.dumps(obj))
        if _may_be_compressed(text):
            compressed = zlib.compress(text)
            if len(compressed) < len(text) - 1:
                return b"." + _encoded(compressed)
        return _encoded(text)

    def load_payload(self, payload: bytes, *args: Any, **kwargs: Any) -> Any:
        """Read what :meth:`dump_payload` wrote.

        :raises itsdangerous.BadPayload: if it is anything else.
        """
        if not (payload.startswith(b".") or args or kwargs):
            try:
                return self.serializer.loads(_decoded(payload).decode())
            except Exception:
                pass  # the base says what is wrong
        return super().load_payload(payload, *args, **kwargs)

    def _signature(self, dated: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(dated)
        return _encoded(mac.digest())


def _may_be_compressed(text: bytes) -> bool:
    """Say whether zlib could save the two bytes that it has to.

    It adds 6 bytes and 10 bits. The first of each byte costs 8 bits as before; all that come
    again cost 12 bits at least, so ten of them save 58 of the 64 bits that are needed.
    """
    # PERF: zlib takes 5 us for any text, a set of 64 bytes 0.7 (timeit).
    return len(text) > 64 or len(text) - len(set(text)) > 10


def _encoded(data: bytes) -> bytes:
    # PERF: the function of the base goes through three others (0.3 against 1 us).
    return b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=")


def _decoded(text: bytes) -> bytes:
    return a2b_base64(text.translate(_STANDARD) + b"=" * (-len(text) % 4))


def _number(date: bytes) -> float:
    """Return the seconds that *date* stands for; one that cannot be read is yet to come."""
    try:
        return int.from_bytes(_decoded(date), "big")
    except ValueError:
        return float("inf")
