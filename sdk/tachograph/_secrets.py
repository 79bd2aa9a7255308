"""What a secret looks like: names of keys that hold one, and shapes of values that are one.

Every expression here is tried at a given place and reads a bounded number of characters there, or
reads on only as long as it is sure to match: the work is linear in the text whatever the text is.
"""

from __future__ import annotations

import re
from typing import Final

# Held against the end of a key, so that max_tokens, author, password_reset_at and tokens stay readable.
SENSITIVE_KEY: Final = re.compile(
    r"""(?xi)
    (?: pass(?:word|wd|phrase|code)s? | pwd
      | secrets? (?: [_\-. ]?(?:access[_\-. ]?)?keys? )?
      | api[_\-. ]?keys?
      | (?:private|signing|encryption|access|account|subscription|master)[_\-. ]?keys?
      | authorization | credentials? | cookies?
      | (?: access|refresh|id|auth|session|bearer|security|csrf|xsrf|api|oauth|device )[_\-. ]?tokens?
      | ^token
      # Tokens of text and of paging are no secrets.
      | (?<!page)(?<!next)(?<!first)(?<!last)(?<!stop)(?<!per)(?<![ebp]os)(?<!pad)(?<!unk)[_\-.]token
      | ^x-auth | connection[_\-. ]?string | ^(?:x-(?:amz|goog)-)?sig(?:nature)? )
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
    "sig=",
    "signature=",
)
KEY_LIMIT_CHARS: Final = 80
"""Longer keys are data, not names."""

# The letter of an escape (\n, \u003d) or of a URL's (%3D) before a secret is no part of it.
_LEFT = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4})|(?<=%[0-9a-fA-F]{2}))"
_WORD = r"[A-Za-z0-9_\-]"

# One combined expression; the group that matched names the kind.
VALUE: Final = re.compile(
    rf"""(?x)
    (?P<private_key> -----BEGIN[ ][A-Z0-9 ]{{0,40}}PRIVATE[ ]KEY(?:[ ]BLOCK)?-----
        # Up to its end, or to the end of the string it was cut in: JSON around it stays whole.
        (?: (?!-----END) (?: [^"\\] | \\++[^"\\] ) ){{0,16384}}+
        (?: -----END[ ][A-Z0-9 ]{{0,40}}PRIVATE[ ]KEY(?:[ ]BLOCK)?----- )? )
    | (?P<anthropic_key> {_LEFT}sk-ant-{_WORD}{{8,}}+ )
    | (?P<stripe_key> {_LEFT}(?: [rs]k_(?:live|test)_[A-Za-z0-9]{{12,}}+ | whsec_[A-Za-z0-9+/=]{{16,}}+ ) )
    | (?P<api_key> {_LEFT}(?:
          sk-(?:proj|svcacct|admin|service|or-v1|lf|api)-{_WORD}{{12,}}+
        | sk-[A-Za-z0-9]{{20,}}+ {_WORD}*+
        | sk-(?={_WORD}{{0,64}}[0-9]){_WORD}{{20,}}+
        | (?:gsk|r8|fw|pcsk|nvapi|secret|ntn|lin_api|figd|rubygems|sntrys|glsa|shp(?:at|ss|ca|pa))[_\-][A-Za-z0-9]{{20,}}+{_WORD}*+
        | (?:xai|pplx)-[A-Za-z0-9]{{20,}}+{_WORD}*+
        | tvly-(?:dev-|prod-)?[A-Za-z0-9]{{16,}}+{_WORD}*+
        | lsv2_(?:pt|sk)_[A-Za-z0-9_]{{16,}}+ | do[opr]_v1_[a-f0-9]{{32,}}+
        | hvs\.{_WORD}{{20,}}+ | dckr_pat_{_WORD}{{16,}}+ | SG\.{_WORD}{{16,64}}+\.{_WORD}{{16,128}}+ ) )
    | (?P<aws_key> {_LEFT}(?:AKIA|ASIA)[A-Z0-9]{{16}}(?![A-Za-z0-9]) )
    | (?P<github_token> {_LEFT}(?:gh[pousr]_[A-Za-z0-9]{{20,}}+ | github_pat_[A-Za-z0-9_]{{20,}}+) )
    | (?P<gitlab_token> {_LEFT}gl(?:pat|dt|rt|cbt|ptt|ft|soat)-{_WORD}{{16,}}+ )
    | (?P<registry_token> {_LEFT}(?: npm_[A-Za-z0-9]{{30,}}+ | pypi-(?:AgE{_WORD}{{16,}}+ | {_WORD}{{48,}}+) ) )
    | (?P<huggingface_token> {_LEFT}(?:hf|api_org)_[A-Za-z0-9]{{20,}}+ )
    | (?P<slack_token> {_LEFT}(?: xox[abeprs]-[A-Za-z0-9\-]{{10,}}+ | xapp-[A-Za-z0-9\-]{{10,}}+ ) )
    | hooks\.slack\.com\\?/services\\?/(?P<slack_webhook> [A-Za-z0-9/\\]{{20,}}+ )
    | (?P<google_key> {_LEFT}(?: AIza{_WORD}{{30,}}+ | ya29\.{_WORD}{{20,}}+ | GOCSPX-{_WORD}{{20,}}+ ) )
    | (?<=[0-9]{{8}}):(?P<telegram_token> AA{_WORD}{{32,35}}(?!{_WORD}) )
    # A run of its characters is read from its start only, or a long run without a dot would cost squares.
    | (?P<jwt> (?:(?<!{_WORD})|(?<=\\[nrtbf])|(?<=%[0-9a-fA-F]{{2}}))
        eyJ{_WORD}{{6,}}+\.{_WORD}{{6,}}+(?:\.{_WORD}*+){{1,3}}+ )
    | {_LEFT}[Bb](?:earer|EARER)[ ]+(?:(?=[^\s"']{{0,256}}[0-9])|(?=[^\s"'\\,]{{24}}))(?P<bearer> [A-Za-z0-9._~+/\-]{{8,}}+=* )
    | {_LEFT}[Bb]asic[ ]+(?P<basic_auth> [A-Za-z0-9+/]{{8,4096}}+={{0,2}} )
    | :\\*/\\*/[^\s/:@"'\\]{{0,256}}:(?!\[redacted:)(?P<url_password> [^\s/"'\\]{{1,256}} )@
    """
)

# Where VALUE may match: what to look for, and how far before it the expression starts. It is tried at
# such places only: over a whole text it would cost some 50 microseconds a kilobyte, a search costs half
# a microsecond. Grouped by what several share, so that most texts are done after a few searches.
VALUE_HINTS: Final[tuple[tuple[str, tuple[tuple[str, int], ...]], ...]] = (
    ("-----BEGIN ", (("-----BEGIN ", 0),)),
    ("sk-", (("sk-", 0),)),
    ("IA", (("AKIA", 0), ("ASIA", 0))),
    ("gh", (("ghp_", 0), ("gho_", 0), ("ghu_", 0), ("ghs_", 0), ("ghr_", 0))),
    ("b_pat_", (("github_pat_", 0),)),
    ("r_pat_", (("dckr_pat_", 0),)),
    (
        "gl",
        (
            *((f"gl{kind}-", 0) for kind in ("pat", "dt", "rt", "cbt", "ptt", "ft", "soat")),
            ("glsa_", 0),
        ),
    ),
    ("npm_", (("npm_", 0),)),
    ("pypi-", (("pypi-", 0),)),
    ("hf_", (("hf_", 0),)),
    ("api_", (("api_org_", 0), ("lin_api_", 0))),
    ("xox", (("xox", 0),)),
    ("xapp-", (("xapp-", 0),)),
    ("hooks.slack", (("hooks.slack", 0),)),
    ("AIza", (("AIza", 0),)),
    ("ya29.", (("ya29.", 0),)),
    ("GOCSPX-", (("GOCSPX-", 0),)),
    (
        "k_",
        (
            ("sk_live_", 0),
            ("rk_live_", 0),
            ("sk_test_", 0),
            ("rk_test_", 0),
            ("gsk_", 0),
            ("pcsk_", 0),
        ),
    ),
    ("sec", (("whsec_", 0), ("secret_", 0))),
    ("r8_", (("r8_", 0),)),
    ("fw_", (("fw_", 0),)),
    ("nvapi-", (("nvapi-", 0),)),
    ("ntn_", (("ntn_", 0),)),
    ("figd_", (("figd_", 0),)),
    ("rubygems_", (("rubygems_", 0),)),
    ("sntrys_", (("sntrys_", 0),)),
    ("shp", (("shpat_", 0), ("shpss_", 0), ("shpca_", 0), ("shppa_", 0))),
    ("xai-", (("xai-", 0),)),
    ("pplx-", (("pplx-", 0),)),
    ("tvly-", (("tvly-", 0),)),
    ("lsv2_", (("lsv2_", 0),)),
    ("_v1_", (("dop_v1_", 0), ("doo_v1_", 0), ("dor_v1_", 0))),
    ("hvs.", (("hvs.", 0),)),
    ("SG.", (("SG.", 0),)),
    (":AA", ((":AA", 0),)),
    ("eyJ", (("eyJ", 0),)),
    ("earer ", (("earer ", 1),)),
    ("EARER ", (("EARER ", 1),)),
    ("asic ", (("asic ", 1),)),
)
URL_HINTS: Final = ("://", ":\\/\\/")

AWS_SECRET: Final = re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
"""Has no mark of its own, so it is looked for near the id of its key only."""
NEAR_CHARS: Final = 160

CARD: Final = re.compile(
    r"""(?x)
    (?: (?<![\w.\-+]) | (?<=\\[nrt]) )
    (?: (?: 4[0-9]{3} | 5[1-5][0-9]{2} | 2[2-7][0-9]{2} | 6011 | 64[4-9][0-9] | 65[0-9]{2} | 35[2-8][0-9] )
        (?P<gap>[ \-]?)[0-9]{4}(?P=gap)[0-9]{4}(?P=gap)[0-9]{4}
      | 3[47][0-9]{2}(?P<gap2>[ \-]?)[0-9]{6}(?P=gap2)[0-9]{5} )
    (?! [0-9] | [A-Za-z_] | [.\-]\w )
    """
)
"""The numbers of payment cards; their check digit is computed besides."""

CARD_START: Final = re.compile(r"[2-6](?=[0-9]{3}[ \-]?[0-9]{4})")

EMAIL_DOMAIN: Final = re.compile(r"[A-Za-z0-9\-]{1,63}+(?:\.[A-Za-z0-9\-]{1,63}+){1,8}")
EMAIL_NAME_CHARS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+-"
EMAIL_NAME_LIMIT_CHARS: Final = 64
