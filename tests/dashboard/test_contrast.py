"""Every text of the theme has the contrast of WCAG AA on what it stands on, computed from the theme's own colours."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import tachograph_dashboard

HERE = Path(tachograph_dashboard.__file__).parent
THEME = tomllib.loads((HERE / ".streamlit" / "config.toml").read_text())["theme"]
BASE = (HERE / "assets" / "base.css").read_text()
LEAST = 4.5
TONES = ("red", "orange", "yellow", "green", "blue", "violet", "gray")
Colour = tuple[float, ...]


def colour(text: str) -> Colour:
    return tuple(int(text[at : at + 2], 16) for at in (1, 3, 5))


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """As ``color-mix(in srgb, one share, other)``."""
    return tuple(a * share + b * (1 - share) for a, b in zip(one, other, strict=True))


def share_of(pattern: str) -> float:
    """A percentage of the stylesheet that all components have."""
    (found,) = re.findall(pattern, BASE)
    return int(found) / 100


def luminance(of: Colour) -> float:
    parts = [each / 255 for each in of]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def pairs(kind: str) -> dict[str, float]:
    theme = {key: colour(value) for key, value in THEME[kind].items() if key.endswith("Color")}
    page, panel = theme["backgroundColor"], theme["secondaryBackgroundColor"]
    ink = theme["textColor"]
    mute = mixed(ink, page, share_of(r"--mute: color-mix\(in srgb, var\(--ink\) (\d+)%"))
    pill = share_of(r"background: color-mix\(in srgb, var\(--tone\) (\d+)%, var\(--bg\)\)")
    found = {
        "code": contrast(theme["codeTextColor"], theme["codeBackgroundColor"]),
        "text in heads of tables": contrast(ink, theme["dataframeHeaderBackgroundColor"]),
        "white on buttons": contrast((255, 255, 255), theme["primaryColor"]),
    }
    for name, ground in {"page": page, "panel": panel}.items():
        found |= {
            f"text on the {name}": contrast(ink, ground),
            f"quiet text on the {name}": contrast(mute, ground),
            f"links on the {name}": contrast(theme["linkColor"], ground),
        }
        for tone in TONES:
            found[f"{tone} text on the {name}"] = contrast(theme[f"{tone}TextColor"], ground)
    for tone in TONES:
        drawn, ink_of = theme[f"{tone}Color"], theme[f"{tone}TextColor"]
        found[f"{tone} pill"] = contrast(ink_of, mixed(drawn, page, pill))
        # Where the theme does not say one, Streamlit lays a tenth of the colour over the page.
        ground = theme.get(f"{tone}BackgroundColor", mixed(drawn, page, 0.1))
        found[f"{tone} notice"] = contrast(ink_of, ground)
    # Rows and cards that are chosen, the deepest of those with text: .part, .act and .row.chosen.
    chosen = mixed(theme["primaryColor"], page, deepest("accent"))
    inks = {f"{tone} text": theme[f"{tone}TextColor"] for tone in TONES}
    inks |= {"text": ink, "quiet text": mute, "links": theme["linkColor"]}
    found |= {f"{name} that is chosen": contrast(each, chosen) for name, each in inks.items()}
    for tone in ("red", "green", "orange"):
        ground = mixed(theme[f"{tone}Color"], page, deepest(f"st-{tone}-color", below=20))
        found[f"{tone} text of a difference"] = contrast(theme[f"{tone}TextColor"], ground)
        found[f"text of a {tone} difference"] = contrast(ink, ground)
    return found


def deepest(name: str, below: int = 50) -> float:
    """The largest share of a colour behind text in any stylesheet; larger ones than ``below`` % are bars."""
    mixes = (
        rf"background: color-mix\(in srgb, var\(--{name}\) (\d+)%, (?:transparent|var\(--bg\))\)"
    )
    sheets = "".join(path.read_text() for path in (HERE / "assets").glob("*.css"))
    return max(int(share) for share in re.findall(mixes, sheets) if int(share) < below) / 100


def test_black_on_white_is_twenty_one_to_one():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)


@pytest.mark.parametrize("kind", ["light", "dark"])
def test_every_text_can_be_read(kind):
    found = pairs(kind)
    assert {name: round(value, 2) for name, value in found.items() if value < LEAST} == {}
