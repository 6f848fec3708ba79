"""One line for each mistake in a file: the file, the key, what is wrong, and what would be valid.

Pydantic finds most mistakes; its reports are translated here. A line may quote what stands in the file, never data.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN = {
    "missing": "missing",
    "model_type": "expected a table of keys",
    "dict_type": "expected a table of keys",
    "string_type": "expected text in quotes",
    "bool_type": "expected true or false",
    "string_too_short": "must not be empty",
    "int_type": "expected a whole number",
    "finite_number": "expected a finite number",
}
_LIMITS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}


def key(*parts: object) -> str:
    """Return the dotted path of a key, its parts quoted as TOML asks."""
    return ".".join(str(p) if _BARE.fullmatch(str(p)) else f'"{p}"' for p in parts)


def near(name: str, options: Iterable[str]) -> str:
    """Return "; did you mean x?" for the option most like ``name``, or nothing."""
    known = {option.casefold(): option for option in options}
    found = difflib.get_close_matches(name.casefold(), list(known), n=1)
    return f"; did you mean {known[found[0]]}?" if found else ""


def choices(name: str, options: Sequence[str]) -> str:
    """Return "; did you mean x? valid: x, y", for a name that is none of ``options``."""
    similar = near(name, options)
    return f"{similar} valid: {', '.join(options)}" if similar else f"; valid: {', '.join(options)}"


def translate(error: ValidationError, model: type[BaseModel]) -> list[tuple[str, str]]:
    """Return (key, message) for each mistake that pydantic found in data for ``model``, in its order."""
    return [_translate(details, model) for details in error.errors(include_url=False)]


def _translate(details: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    location = tuple(part for part in details["loc"] if part != "[key]")
    kind, given, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        message = "unknown key" + choices(str(location[-1]), _keys_at(model, location[:-1]))
    elif kind == "value_error":
        message = str(context["error"])
    elif kind in _LIMITS:
        name, words = _LIMITS[kind]
        message = f"must be {words} {context[name]}, not {given}"
    else:
        message = _PLAIN.get(kind, details["msg"])
    return key(*location), message


def _keys_at(model: type[BaseModel], location: Sequence[object]) -> list[str]:
    annotation: Any = model
    for part in location:
        fields = annotation.model_fields if _is_model(annotation) else {}
        annotation = fields[str(part)].annotation if str(part) in fields else annotation
        annotation = _within(annotation)
    return list(annotation.model_fields) if _is_model(annotation) else []


def _within(annotation: Any) -> Any:
    """Return the model inside ``dict[str, Model]`` or ``Model | None``; a model as it is."""
    if _is_model(annotation):
        return annotation
    return next((found for argument in get_args(annotation) if _is_model(found := _within(argument))), None)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
