"""The last screen of a run as a picture: an SVG that needs no font or file from elsewhere."""

import io
from pathlib import Path

from rich.console import Console
from rich.text import Text

from zhihui.demo.report import SUMMARY_TITLE

__all__ = ("COLUMNS", "write_picture")

# Wide enough that no line of the last screen wraps, narrow enough to be read on a page.
COLUMNS = 134

# From here on: what comes before is progress and the long lists of outcomes.
_FIRST_LINE = SUMMARY_TITLE

# Rich's own format without its fonts, which are fetched from the web.
_FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
    <style>
    .{unique_id}-matrix {{
        font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
        font-size: {char_height}px;
        line-height: {line_height}px;
    }}
    .{unique_id}-title {{
        font-size: 18px;
        font-weight: bold;
        font-family: system-ui, sans-serif;
    }}
    {styles}
    </style>
    <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
    </defs>
    {chrome}
    <g transform="translate({terminal_x}, {terminal_y})"
       clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
    </g>
</svg>
"""


def write_picture(recorded: Console, path: Path, *, title: str) -> None:
    """Write the last screen of what ``recorded`` showed; its width is :data:`COLUMNS`."""
    lines = recorded.export_text(styles=True).splitlines()
    first = max(number for number, line in enumerate(lines) if _FIRST_LINE in line)
    screen = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in lines[first:]:
        screen.print(Text.from_ansi(line.rstrip()), soft_wrap=True)
    svg = screen.export_svg(title=title, code_format=_FORMAT, unique_id="zhihui-demo")
    path.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")
