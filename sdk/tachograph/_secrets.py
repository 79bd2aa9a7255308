"""What a secret looks like: names of keys that hold one, and shapes of values that are one."""

from __future__ import annotations

import re
from typing import Final

# Held against the end of a key, so that max_tokens, author, password_reset_at and tokens stay readable.
SENSITIVE_KEY: Final = re.compile(
    r"""(?xi)
    (?: pass(?:word|wd|phrase|code)s? | pwd
      | secrets? (?: [_\-. ]?(?:access[_\-. ]?)?keys? )?
      | api[_\-. ]?keys? | (?:private|signing|encryption|access)[_\-. ]?keys?
      | authorization | credentials? | cookies?
      | (?: access|refresh|id|auth|session|bearer|security|csrf|xsrf|api|oauth|device )[_\-. ]?tokens?
      | ^token
      # Tokens of text and of paging are no secrets.
      | (?<!page)(?<!next)(?<!first)(?<!last)(?<!stop)(?<!per)(?<![ebp]os)(?<!pad)(?<!unk)[_\-.]token
      | ^x-auth | connection[_\-. ]?string )
    (?: [_\-. ]?(?: header|value|hash|pem|b64|text ) | \d+ )? $
    """
)

# Every name above contains one of these; looked for in the lower-cased text before any regex runs.
KEY_HINTS: Final = (
    "pass",
    "pwd",
    "secret",
    "key",
    "auth",
    "credential",
    "cookie",
    "token",
    "connection",
)
KEY_LIMIT_CHARS: Final = 80
"""Longer keys are data, not names."""

# For text that is no JSON: `password=...`, `Authorization: Basic ...`.
ASSIGNED: Final = re.compile(
    r"""(?xi)
    (?P<name> (?<![a-z]) (?: password | passwd | pwd | passphrase | secret | client_secret
        | api[_-]?key | access_token | refresh_token | id_token | auth_token | token ) )
    (?P<sign> = ) (?P<value> "[^"]{1,512}" | '[^']{1,512}' | [^\s&;,"'<>\\]{1,512} )
    | (?P<header> \b(?:proxy-)?authorization \s* : \s* (?:basic|digest|token) \s+ )
    (?P<sent> [^\s"'\\,]{4,4096} )
    """
)

# One combined expression; the group that matched names the kind.
VALUE: Final = re.compile(
    r"""(?x)
    (?P<private_key> -----BEGIN[ ][A-Z ]{0,40}PRIVATE[ ]KEY(?:[ ]BLOCK)?-----
        # Up to its end, or to the end of the string it was cut in: JSON around it stays whole.
        (?: (?!-----END) (?: [^"\\] | \\+[^"\\] ) )*
        (?: -----END[ ][A-Z ]{0,40}PRIVATE[ ]KEY(?:[ ]BLOCK)?----- )? )
    | (?P<anthropic_key> \bsk-ant-[A-Za-z0-9_\-]{8,} )
    | (?P<api_key> \bsk-[A-Za-z0-9_\-]{16,} )
    | (?P<aws_key> \b(?:AKIA|ASIA)[A-Z0-9]{16}\b )
    | (?P<github_token> \b(?:gh[pousr]_[A-Za-z0-9]{20,} | github_pat_[A-Za-z0-9_]{20,}) )
    | (?P<slack_token> \bxox[abeprs]-[A-Za-z0-9\-]{10,} )
    | (?P<google_key> \bAIza[A-Za-z0-9_\-]{30,} )
    | (?P<stripe_key> \b[rs]k_(?:live|test)_[A-Za-z0-9]{12,} )
    | (?P<jwt> \beyJ[A-Za-z0-9_\-]{6,}\.[A-Za-z0-9_\-]{6,}\.[A-Za-z0-9_\-]* )
    | \b[Bb]earer[ ](?P<bearer> (?=[^\s"']*[0-9]) [A-Za-z0-9._~+/\-]{8,}=* )
    | ://[^\s/:@"'\\]{0,256}:(?!\[redacted:)(?P<url_password> [^\s/@"'\\]{1,256} )@
    """
)

# Where VALUE may match: a rough hint, the exact ones, and how far before these it starts. It is tried at
# such places only: over a whole text it would cost some 50 microseconds a kilobyte, a search costs half
# a microsecond.
VALUE_HINTS: Final = (
    ("-----BEGIN ", ("-----BEGIN ",), 0),
    ("sk-", ("sk-",), 0),
    ("IA", ("AKIA", "ASIA"), 0),
    ("gh", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), 0),
    ("b_pat_", ("github_pat_",), 0),
    ("xox", ("xox",), 0),
    ("AIza", ("AIza",), 0),
    ("k_", ("k_live_", "k_test_"), 1),
    ("eyJ", ("eyJ",), 0),
    ("earer ", ("earer ",), 1),
)
URL_HINT: Final = "://"

ASSIGNED_HINTS: Final = ("password=", "passwd=", "pwd=", "passphrase=", "secret=", "key=", "token=")
HEADER_HINT: Final = "authorization"
