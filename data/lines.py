"""Tables for the terminal: what comes from tables and run folders is made printable, long names are cut inside."""

from collections.abc import Sequence

WORDS = ("verdict", "finding")  # titles of columns that hold words


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Lines of at most `width` columns: names and words to the left, numbers to the right, long names cut."""
    shown = [[printable(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in shown) for i in range(len(head))]
    gap = 2 if sum(widths) + 2 * (len(head) - 1) <= width else 1
    widths[0] = min(widths[0], width - sum(widths[1:]) - gap * (len(head) - 1))
    lines = []
    for row in shown:
        cells = [cut(row[0], widths[0]).ljust(widths[0])]
        cells += [
            cell.ljust(wide) if title in WORDS else cell.rjust(wide)
            for title, cell, wide in zip(head[1:], row[1:], widths[1:], strict=True)
        ]
        lines.append((" " * gap).join(cells).rstrip())
    return lines


def printable(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in text)


def cut(name: str, width: int) -> str:
    """The start and the end of a name that is too long: its model and its features tell runs apart."""
    keep = width - 1
    return name if len(name) <= width else f"{name[: keep - keep // 2]}…{name[len(name) - keep // 2 :]}"
