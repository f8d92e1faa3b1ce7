"""Pictures as PNG: what :mod:`.pictures` drew, with a font that has Hangul; it is an error if there is none."""

import os
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ..errors import UserError
from ..files import whole_files
from .svg import standalone

INSTALL = "python -m pip install -r requirements-png.txt"
SYSTEM_FONTS = ("malgun.ttf", "applesdgothicneo.ttc", "nanumgothic.ttf", "nanumgothic-regular.ttf",
                "notosanscjk-regular.ttc", "notosanscjkkr-regular.otf", "notosanskr-regular.otf",
                "notosanskr-regular.ttf")
ZOOM = 2.0  # pixels of the PNG for one of the SVG


def check_png() -> None:
    """Raises UserError where :func:`write_pngs` could draw nothing: resvg or a font that has Hangul is missing."""
    for package in ("resvg_py", "fontTools"):
        if find_spec(package) is None:
            raise UserError(f"png: {package} 패키지가 없습니다. 설치하세요: {INSTALL}")
    find_fonts()


def write_pngs(folder: Path, svgs: dict[str, str]) -> None:
    """Write each of ``svgs`` to its name, with ``.png``, in ``folder``: all of them or none.

    Raises:
        UserError: as :func:`check_png` does.
    """
    check_png()
    from fontTools.ttLib import TTFont
    from resvg_py import svg_to_bytes

    fonts, known, family = find_fonts(), set(), None
    for font in fonts:
        with TTFont(font, fontNumber=0, lazy=True) as opened:
            known |= opened.getBestCmap().keys()
            family = family or opened["name"].getBestFamilyName()
    folder.mkdir(parents=True, exist_ok=True)
    with whole_files(folder) as unfinished:
        for name, svg in svgs.items():
            svg = _spelled(standalone(svg).replace("−", "–"), known)  # a minus that Hangul fonts have
            (unfinished / f"{name}.png").write_bytes(svg_to_bytes(
                svg_string=svg, zoom=ZOOM, font_files=[str(font) for font in fonts], skip_system_fonts=True,
                font_family=family, sans_serif_family=family))


def _spelled(svg: str, known: set[int]) -> str:
    """``svg`` with the numbers of characters that no font has (emoji) in their place: they would be empty boxes."""
    def spell(text: re.Match) -> str:
        return "".join(character if ord(character) in known else f"U+{ord(character):04X}" for character in text[0])

    return re.sub(r"(?<=>)[^<]+(?=</text>)", spell, svg)


def find_fonts() -> list[Path]:
    """A font with Hangul, from koreanize-matplotlib or else the system's, and after it those that complete it.

    Raises:
        UserError: no font with Hangul is there.
    """
    fonts = []
    if package := find_spec("koreanize_matplotlib"):  # which is not imported: that changes matplotlib
        folder = Path(package.origin).parent / "fonts"
        fonts = [font for name in ("NanumGothic.ttf", "NanumGothicBold.ttf") if (font := folder / name).is_file()]
    fonts = fonts or list(_system_fonts())[:1]
    if not fonts:
        raise UserError(f"png: 한글 글꼴이 없어 그림을 그릴 수 없습니다. 설치하세요: {INSTALL}")
    if package := find_spec("matplotlib"):  # its DejaVu Sans has ␣
        fonts += Path(package.origin).parent.glob("mpl-data/fonts/ttf/DejaVuSans.ttf")
    return fonts


def font_folders() -> list[Path]:
    """Where this system keeps fonts."""
    home = Path.home()
    if sys.platform == "win32":
        return [Path(os.environ.get("WINDIR", r"C:\Windows"), "Fonts"),
                Path(os.environ.get("LOCALAPPDATA", home), "Microsoft", "Windows", "Fonts")]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts"]
    return [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".local" / "share" / "fonts",
            home / ".fonts"]


def _system_fonts() -> Iterator[Path]:
    found = [font for folder in font_folders() if folder.is_dir() for font in sorted(folder.rglob("*.[ot]t[fc]"))]
    for name in SYSTEM_FONTS:
        yield from (font for font in found if font.name.lower() == name)
