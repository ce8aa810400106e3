"""A bar chart as SVG, for light and dark pages: panels, and in each a bar for each engine."""

from xml.sax.saxutils import escape

LABEL_WIDTH = 130
BAR_WIDTH = 200
VALUE_WIDTH = 50
PANEL_WIDTH = LABEL_WIDTH + BAR_WIDTH + VALUE_WIDTH
PANELS_IN_A_ROW = 2
ROW_HEIGHT = 18
BAR_HEIGHT = 12
TITLE_HEIGHT = 34
STYLE = """
  text { font: 11px sans-serif; fill: #1f2328; }
  .title { font-weight: bold; }
  .ours { fill: #0969da; }
  .peer { fill: #9198a1; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .ours { fill: #4493f8; }
    .peer { fill: #656c76; }
  }
"""


def text(x, y, content, **attributes):
    extra = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f'<text x="{x}" y="{y}"{extra}>{escape(content)}</text>'


def bar(x, y, name, value, most, ours):
    width = max(1, round(BAR_WIDTH * value / most))
    kind = "ours" if ours else "peer"
    return [
        text(x + LABEL_WIDTH - 6, y + BAR_HEIGHT - 2, name, **{"text-anchor": "end"}),
        f'<rect class="{kind}" x="{x + LABEL_WIDTH}" y="{y}" width="{width}" '
        f'height="{BAR_HEIGHT}" rx="2"/>',
        text(x + LABEL_WIDTH + width + 5, y + BAR_HEIGHT - 2, f"{value:,.0f}"),
    ]


def panel(x, y, title, bars):
    parts = [text(x + LABEL_WIDTH, y + 20, title, **{"class": "title"})]
    most = max(value for _, value, _ in bars)
    for row, (name, value, ours) in enumerate(bars):
        parts += bar(x, y + TITLE_HEIGHT + row * ROW_HEIGHT, name, value, most, ours)
    return parts


def draw(panels):
    """panels: [(title, [(name, value, ours)])], drawn two in a row; each has a scale of its own."""
    panels = [(title, bars) for title, bars in panels if bars]
    height = TITLE_HEIGHT + ROW_HEIGHT * max((len(bars) for _, bars in panels), default=0)
    rows = -(-len(panels) // PANELS_IN_A_ROW)
    parts = []
    for number, (title, bars) in enumerate(panels):
        row, column = divmod(number, PANELS_IN_A_ROW)
        parts += panel(column * PANEL_WIDTH, row * height, title, bars)
    size = f"{PANEL_WIDTH * PANELS_IN_A_ROW} {rows * height + 10}"
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}">',
                      f"<style>{STYLE}</style>", *parts, "</svg>", ""])
