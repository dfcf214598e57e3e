"""One form for one request, whichever version of a pack reads it.

A request that is sent again is told from another one under the same id by a digest. Were that the
digest of all fields, a new version with one more optional field would take an old request that is
sent again for another one. So what equals its default is left out.
"""

from collections.abc import Callable
from typing import Any

import msgspec

__all__ = ("CanonicalForm",)

_encode = msgspec.json.Encoder(order="deterministic").encode


class _Field:
    """A field of a struct: its name in code and in JSON, and its default if it has one."""

    __slots__ = ("_default", "_factory", "encode_name", "name")

    def __init__(self, field: msgspec.structs.FieldInfo) -> None:
        self.name = field.name
        self.encode_name = field.encode_name
        self._default = field.default
        self._factory: Callable[[], Any] | Any = field.default_factory

    def is_default(self, value: Any) -> bool:
        """Tell whether a value is what the field has when nothing is said."""
        default = self._default
        if self._factory is not msgspec.NODEFAULT:
            default = self._factory()
        # `0`, `0.0` and `False` are equal and not the same.
        return (
            default is not msgspec.NODEFAULT and type(default) is type(value) and default == value
        )


class CanonicalForm:
    """Make the form. One for each generation, kept on its shelf: it remembers its classes."""

    def __init__(self) -> None:
        self._fields: dict[type, tuple[_Field, ...]] = {}

    def encode(self, request: msgspec.Struct) -> bytes:
        """Return the JSON of a request: fields in order of their names, defaults left out."""
        return _encode(self._plain(request))

    def _plain(self, value: Any) -> Any:
        if isinstance(value, msgspec.Struct):
            return self._plain_struct(value)
        if isinstance(value, list | tuple):
            return [self._plain(one) for one in value]
        if isinstance(value, set | frozenset):
            return sorted((self._plain(one) for one in value), key=_encode)
        if isinstance(value, dict):
            return {key: self._plain(one) for key, one in value.items()}
        return value

    def _plain_struct(self, value: msgspec.Struct) -> dict[str, Any]:
        kind = type(value)
        fields = self._fields.get(kind)
        if fields is None:
            fields = tuple(map(_Field, msgspec.structs.fields(kind)))
            self._fields[kind] = fields
        plain = {}
        for field in fields:
            one = getattr(value, field.name)
            if not field.is_default(one):
                plain[field.encode_name] = self._plain(one)
        config = kind.__struct_config__
        if config.tag is not None and config.tag_field is not None:
            plain[config.tag_field] = config.tag
        return plain
