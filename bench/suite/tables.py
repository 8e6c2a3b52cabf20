"""Markdown, and the figures in it."""

from statistics import median


def table(title, heads, rows):
    """The first column is text, the others are figures."""
    lines = [f"### {title}", "", row(heads), row(["---"] + ["---:"] * (len(heads) - 1))]
    return "\n".join(lines + [row(cells) for cells in rows])


def row(cells):
    return "| " + " | ".join(cells) + " |"


def middle(values):
    """The median of what is there."""
    values = [value for value in values if value is not None]
    return median(values) if values else None


def ratio(ours, theirs):
    """The median of the rounds' ratios: each compares what was measured within the same second or two."""
    return middle([a / b for a, b in zip(ours, theirs) if a is not None and b])


def figure(value, digits=0):
    if value is None:
        return "–"
    return f"{value:,.{digits}f}"


def times(value):
    return "–" if value is None else f"{value:.2f} ×"


def bytes_name(size):
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"
