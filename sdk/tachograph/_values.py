"""Values that stand where a secret would, and are none: words of prose, types, names of variables."""

from __future__ import annotations

import re

_NO_SECRETS = frozenset(
    [
        "none",
        "null",
        "nil",
        "true",
        "false",
        "undefined",
        "str",
        "string",
        "bool",
        "boolean",
        "int",
        "integer",
        "float",
        "number",
        "bytes",
        "any",
        "object",
        "optional",
        "required",
        "secretstr",
        "dict",
        "list",
        "tuple",
        "missing",
        "unset",
        "empty",
        "yes",
        "no",
        "password",
        "passwd",
        "secret",
        "token",
        "the",
        "a",
        "an",
        "is",
        "are",
        "in",
        "of",
        "to",
        "for",
        "and",
        "or",
        "not",
        "was",
        "will",
        "must",
        "may",
        "should",
        "can",
        "your",
        "my",
        "our",
        "this",
        "that",
        "it",
        "hidden",
        "masked",
        "redacted",
        "invalid",
        "expired",
        "lambda",
        "self",
        "cls",
        "type",
        "char",
        "varchar",
        "text",
        "input",
        "env",
        "file",
    ]
)
_PLACEHOLDER = re.compile(
    r"""(?x) \*+ | \.{3}.* | [xX]{3,} | <[^<>]{0,80}>? | \$?\{[^{}]{0,80}\}{0,2} | \$\(?[A-Za-z_]\w{0,79}\)?
    | %\(?\w{0,80}\)?s | …+ | -+ | _+ """
)
_CODE = re.compile(
    r"""(?x) [A-Za-z_][A-Za-z0-9_.]{0,200}+ [(\[] .*  # a call, an item
    | [A-Za-z_]\w{0,80}+ (?: \.[A-Za-z_]\w{0,80}+ ){1,8} (?![^.]*\d) # an attribute
    | [A-Za-z_]+ \| .* | @.* | \(.* | \[.* | \{.* | f?r?b? """
)
_IDENTIFIER = re.compile(r"[A-Za-z_]{1,80}")


def is_reference(value: str, name: str, *, assigned: bool = False) -> bool:
    """Whether ``value`` under ``name`` is a type, a placeholder, or code that fetches the secret."""
    lowered = value.lower()
    if (
        lowered in _NO_SECRETS
        or _PLACEHOLDER.fullmatch(value[:512])
        or _CODE.fullmatch(value[:512])
    ):
        return True
    if _IDENTIFIER.fullmatch(value) is None:
        return False
    stem = re.split(r"[_\-. ]", name.lower())[-1]
    # `token=access_token`, `credentials: Credentials`: the variable is called after what it holds.
    return lowered.strip("_") in {name.lower(), stem} or (
        "_" in value and stem in lowered and assigned
    )


def is_plain_words(value: str) -> bool:
    """Whether ``value`` could be a word of a sentence: no digit, no sign, no odd capitals."""
    word = value.strip("\"'()[].,:;!?-")
    return not word or (word.isalpha() and (word.islower() or word.istitle() or word.isupper()))
