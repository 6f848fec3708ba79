"""The patterns of metadata commands: those of LIKE, where % is any text, _ one character, and a backslash takes what follows as it is.

They come from clients, so matching takes time in proportion to pattern times name, whatever stands in them: a regular
expression with many wildcards would not.
"""

from __future__ import annotations

_ANY, _ONE = object(), object()


class Like:
    """One pattern. It matches whole names, in any case of letters."""

    def __init__(self, pattern: str) -> None:
        self._parts: list[object] = []
        characters = iter(pattern.lower())
        for character in characters:
            if character == "\\":
                self._parts.append(next(characters, "\\"))
            else:
                self._parts.append({"%": _ANY, "_": _ONE}.get(character, character))

    def matches(self, name: str) -> bool:
        """Say whether ``name`` matches: after a mismatch the last % takes one character more."""
        text, parts = name.lower(), self._parts
        at = of = 0
        again: tuple[int, int] | None = None  # the part after the last %, and from where in the text it was tried
        while at < len(text):
            if of < len(parts) and parts[of] is _ANY:
                of += 1
                again = of, at
            elif of < len(parts) and (parts[of] is _ONE or parts[of] == text[at]):
                at, of = at + 1, of + 1
            elif again is not None:
                of, at = again[0], again[1] + 1
                again = of, at
            else:
                return False
        return all(part is _ANY for part in parts[of:])
