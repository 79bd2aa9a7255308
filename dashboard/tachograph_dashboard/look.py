"""The few rules aimed at Streamlit itself, where its theme has no setting; the theme is in ``.streamlit/config.toml``."""

from __future__ import annotations

import streamlit as st

_MAIN = "[data-testid=stMainBlockContainer]"
_CODE = "[data-testid=stCode] .token"
# Streamlit colours code for its own themes; on ours strings and numbers had less than half the contrast of AA.
_TOKENS = {
    "greenTextColor": ("string", "number", "boolean"),
    "blueTextColor": ("keyword", "function", "builtin", "property"),
    "orangeTextColor": ("decorator",),
    "grayTextColor": ("comment", "operator", "punctuation"),
}


def rules() -> str:
    """A style sheet."""
    tokens = "".join(
        f"{','.join(f'{_CODE}.{kind}' for kind in kinds)}{{color:{_themed(colour)}!important}}"
        for colour, kinds in _TOKENS.items()
    )
    return (
        # The theme has no horizontal padding, and air around titles for documents.
        f"{_MAIN}{{padding-inline:1.75rem}}{_MAIN} h1{{padding:3px 6px 17px 0}}"
        # The links of the navigation showed nothing of where the keyboard is.
        "[data-testid=stTopNavLink]:focus-visible,[data-testid=stTopNavDropdownLink]:focus-visible"
        f"{{outline:2px solid {_themed('linkColor')}!important;outline-offset:-2px}}"
        # The primary colour carries white text; written on the dark page it would be too dim to be read.
        "[role=tab][aria-selected=true],button[data-variant][data-selected=true] *"
        f"{{color:{_themed('linkColor')}}}"
        # Code within text is three quarters of its size, and in small print cannot be read.
        "[data-testid=stMarkdownContainer] code{font-size:.9em}[data-testid=stCaptionContainer] code{color:inherit}"
        + tokens
    )


def _themed(option: str) -> str:
    """A colour of the theme, by the scheme that the page has at the moment."""
    light, dark = (st.get_option(f"theme.{scheme}.{option}") for scheme in ("light", "dark"))
    return f"light-dark({light},{dark})"
