"""Text that must never be shown by accident."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, NoReturn, Self

if TYPE_CHECKING:
    from pydantic_core import CoreSchema


class NeverCopied:
    """The base of classes that hold a secret: copying returns the same object, and pickling raises `TypeError`."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled")


class Secret(NeverCopied):
    """Text that must never be shown by accident.

    `repr`, `str`, `format`, JSON and log records show a placeholder; pickling raises `TypeError`.  Two secrets are compared in
    constant time, and a secret has no hash.  Raises `TypeError` if *text* is no text.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str, /) -> None:
        if not isinstance(text, str):
            raise TypeError("a Secret is made from text")
        self._text = text

    def reveal(self) -> str:
        """Return the text.  A security review looks at every call of this method."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "…"

    def __format__(self, spec: str) -> str:
        return "…"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(errors="surrogatepass"), other._text.encode(errors="surrogatepass"))

    __hash__ = None  # type: ignore[assignment]  # a hash would let a secret become a dictionary key

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        """Accept text or a `Secret`; show a placeholder in every dump."""
        from pydantic_core import core_schema  # noqa: PLC0415  # called by pydantic only, which is then loaded

        shown = core_schema.plain_serializer_function_ser_schema(lambda _: "…", return_schema=core_schema.str_schema())
        return core_schema.no_info_plain_validator_function(cls._parse, serialization=shown)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        return {"type": "string", "format": "password", "writeOnly": True}

    @classmethod
    def _parse(cls, value: object) -> Secret:
        if isinstance(value, Secret):
            return value
        if isinstance(value, str):
            return cls(value)
        raise ValueError("must be text")
