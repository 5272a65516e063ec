"""The pictures of the documentation."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "images"
TALLEST = 1100
SIZES = {"wide": (960, "light"), "small": (390, "dark")}


def take(page, name, sizes, *, of="connect"):
    """Take pictures of the page: wide and light, or small and dark; *of* is the first word of their names."""
    FOLDER.mkdir(exist_ok=True)
    for size in sizes:
        width, scheme = SIZES[size]
        page.set_viewport_size({"width": width, "height": 400})
        page.emulate_media(color_scheme=scheme)
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": width, "height": min(height, TALLEST)})
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        page.screenshot(path=FOLDER / f"{of}-{name.replace('_', '-')}-{size}.png", animations="disabled")
