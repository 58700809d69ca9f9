"""Write the map of the modules in CONTRIBUTING.md and the picture of the rooms, architecture.svg.

Run it after a module was added, moved or renamed.  A room is a module or a folder directly in
the package.  Fails if a room imports another that it may not, or if imports go in a circle.
"""

import ast
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from html import escape
from itertools import pairwise, permutations
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "sknnens"
MAP = ROOT / "CONTRIBUTING.md"
PICTURE = ROOT / "docs" / "architecture.svg"
START, END = "<!-- modules: docs/make_architecture.py -->\n", "<!-- end of modules -->\n"

# what each room may import; new rooms need a line
ALLOWED = {
    "_files": set(),
    "_views": {"_files"},
    "_neighbors": {"_views"},
    "fusion": {"_neighbors", "_views"},
    "callbacks": {"_files", "_views"},
    "_engine": {"_files", "_views"},
    "_learner": {"callbacks", "fusion", "_engine", "_files", "_neighbors", "_views"},
    "datasets": {"_views"},
    "metrics": {"_learner", "fusion", "_neighbors", "_views"},
    "inspection": {"_learner", "metrics", "fusion", "_neighbors", "_views"},
    "_show_versions": {"_engine"},
    "__main__": {"", "inspection"},
}
# may be imported by all, import none, and are not drawn
ANYBODY = {"_version", "_compat", "_progress"}
WITH_TORCH = {"_engine", "_learner"}  # other rooms import these, and torch, inside functions only

BOX, GAP, LINE = (190, 18), (22, 46), 14  # pixels: width and padding; between boxes; text
FILLS = {"torch": "#fde3c8", "public": "#d9e8f6", "private": "#eeeeee"}


@dataclass(frozen=True)
class Module:
    """A module of the package: its dotted name in it, and the modules it imports."""

    name: str  # "fusion._base"; "" is the package itself
    summary: str
    imports: dict[str, bool]  # name -> whether only inside functions
    torch: bool  # imported with the module

    @property
    def room(self) -> str:
        """The module or folder directly in the package."""
        return self.name.split(".")[0]


def read_modules(package: Path = PACKAGE) -> list[Module]:
    """Every module of the package, sorted by name, from its source alone."""
    paths = {
        ".".join(path.relative_to(package).with_suffix("").parts)
        .removesuffix("__init__")
        .rstrip("."): path
        for path in package.rglob("*.py")
    }
    modules = []
    for name, path in sorted(paths.items()):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        is_folder = path.name == "__init__.py"
        imports: dict[str, bool] = {}
        torch = False
        for target, inside in _find_imports([tree], False):
            torch |= target.split(".")[0] == "torch" and not inside
            found = _resolve(target, name, is_folder, package.name, set(paths))
            if found is not None and found != name:
                imports[found] = imports.get(found, True) and inside
        summary = (ast.get_docstring(tree) or "").split("\n")[0]
        modules.append(Module(name, summary, imports, torch))
    return modules


def _find_imports(body: list[ast.AST], inside: bool) -> Iterator[tuple[str, bool]]:
    """Yield dotted names, relative ones with their dots, and whether a function holds them."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (f"{node.module}." if node.module else "")
            yield from ((start + alias.name, inside) for alias in node.names)
        elif not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            inner = inside or isinstance(node, ast.FunctionDef)
            children = [n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.expr)]
            yield from _find_imports(children, inner)


def _resolve(target: str, name: str, is_folder: bool, package: str, known: set[str]) -> str | None:
    """The module of the package that an import names, if any."""
    if target.startswith("."):
        dots = len(target) - len(target.lstrip("."))
        parents = name.split(".") if name else []
        parents = parents[: len(parents) + is_folder - dots]
        target = ".".join([*parents, target.lstrip(".")])
    elif target.split(".")[0] == package:
        target = target.removeprefix(package).removeprefix(".")
    else:
        return None
    while target not in known:  # a name in a module
        target = target.rpartition(".")[0]
    return target


def find_faults(modules: list[Module]) -> list[str]:
    """Sentences that say which imports are not allowed, or go in a circle."""
    faults = []
    for module in modules:
        name, room = module.name or "__init__", module.room
        if room not in {"", *ALLOWED, *ANYBODY}:
            faults.append(f"{name}: ALLOWED has no line for the room {room}.")
        if module.torch and room not in WITH_TORCH:
            faults.append(f"{name} imports torch at module level.")
        for target, inside in module.imports.items():
            other = target.split(".")[0]
            if room == other or other in ANYBODY:
                continue
            if room and other not in ALLOWED.get(room, set()):
                faults.append(f"{name} may not import {target or 'the package itself'}.")
            elif not inside and other in WITH_TORCH and room not in WITH_TORCH:
                faults.append(f"{name} may import {target} inside functions only.")
    rooms = {a: set(below) for a, below in find_arrows(modules).items()}
    inner = {m.name: set(m.imports) for m in modules if m.name}
    for graph in (rooms, inner):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            faults.append(f"Imports go in a circle: {' < '.join(error.args[1])}.")
    return faults


def find_arrows(modules: list[Module]) -> dict[str, dict[str, bool]]:
    """For each room the rooms it imports, and whether only inside functions."""
    arrows: dict[str, dict[str, bool]] = {}
    for module in modules:
        if not module.room or module.room in ANYBODY:
            continue
        below = arrows.setdefault(module.room, {})
        for target, inside in module.imports.items():
            other = target.split(".")[0]
            if other not in {"", module.room, *ANYBODY}:
                below[other] = below.get(other, True) and inside
    return arrows


def write_map(modules: list[Module]) -> str:
    """The text of CONTRIBUTING.md, with a table that has a row per module."""
    before, rest = MAP.read_text(encoding="utf-8").split(START)
    rows = [f"| `{m.name or '__init__'}` | {m.summary} |" for m in modules]
    table = "\n".join(["| module | content |", "|---|---|", *rows, ""])
    return f"{before}{START}{table}{END}{rest.split(END)[1]}"


def _reduce(arrows: dict[str, dict[str, bool]]) -> list[tuple[str, str, bool]]:
    """The arrows that do not follow from a path of others, all solid for a solid arrow."""

    def reaches(a: str, b: str, solid: bool) -> bool:
        return a == b or any(
            reaches(c, b, solid) for c, inside in arrows[a].items() if not (solid and inside)
        )

    return [
        (a, b, inside)
        for a, below in arrows.items()
        for b, inside in below.items()
        if not any(reaches(c, b, not inside) for c in below if c != b and (inside or not below[c]))
    ]


def _lay_out(arrows: dict[str, dict[str, bool]]) -> tuple[list[list[str]], list[list[str]]]:
    """The rooms per floor, the top one first, and a route per arrow, one stop per floor.

    A stop between the two rooms of an arrow has a name of its own and a place in its floor.
    """
    floor: dict[str, int] = {}
    for room in TopologicalSorter(arrows).static_order():
        floor[room] = 1 + max((floor[below] for below in arrows[room]), default=-1)
    rows: list[list[str]] = [[] for _ in range(max(floor.values()) + 1)]
    for room in sorted(arrows):
        rows[floor[room]].append(room)
    routes = []
    for a, b, _ in _reduce(arrows):
        stops = [f"{a} {b} {height}" for height in range(floor[a] - 1, floor[b], -1)]
        for height, stop in zip(range(floor[a] - 1, floor[b], -1), stops, strict=True):
            rows[height].append(stop)
        routes.append([a, *stops, b])
    pairs = [pair for route in routes for pair in pairwise(route)]
    for _ in range(5):  # each floor in turn gets its best order; it settles in two or three
        for height, row in enumerate(rows):
            trials = (
                [*rows[:height], list(order), *rows[height + 1 :]] for order in permutations(row)
            )
            rows = min(trials, key=lambda trial: _measure(trial, pairs))
    return rows[::-1], routes


def _measure(rows: list[list[str]], pairs: list[tuple[str, str]]) -> float:
    """How far arrows run sideways, and how often they cross."""
    x = {stop: place - (len(row) - 1) / 2 for row in rows for place, stop in enumerate(row)}
    height = {stop: h for h, row in enumerate(rows) for stop in row}
    crossings = sum(
        height[a] == height[c] and (x[a] - x[c]) * (x[b] - x[d]) < 0
        for a, b in pairs
        for c, d in pairs
    )
    return 2 * crossings + sum((x[a] - x[b]) ** 2 for a, b in pairs)


def draw(modules: list[Module]) -> str:
    """The rooms as an SVG in which every arrow runs down."""
    arrows = find_arrows(modules)
    rows, routes = _lay_out(arrows)
    summaries = {m.name: textwrap.wrap(m.summary, 29) for m in modules}
    tall = BOX[1] + LINE * (1 + max(len(summaries[room]) for room in arrows))
    pitch = BOX[0] + GAP[0], tall + GAP[1]
    width = pitch[0] * max(map(len, rows)) + GAP[0]
    at = {
        stop: (width / 2 + (place - (len(row) - 1) / 2) * pitch[0], GAP[0] + height * pitch[1])
        for height, row in enumerate(rows)
        for place, stop in enumerate(row)
    }
    size = f"{width:.0f} {pitch[1] * len(rows) - GAP[1] + 2 * GAP[0]:.0f}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" font-family="sans-serif">',
        "<title>The rooms of sknnens and their imports</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#555"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
        *(_draw_arrow(route, at, tall, arrows[route[0]][route[-1]]) for route in routes),
    ]
    torch = {m.room for m in modules if m.torch}
    for room in arrows:
        kind = "torch" if room in torch else "private" if room[0] == "_" else "public"
        parts.append(_draw_room(room, summaries[room], at[room], tall, FILLS[kind]))
    return "\n".join([*parts, "</svg>", ""])


def _draw_arrow(
    route: list[str], at: dict[str, tuple[float, float]], tall: int, dashed: bool
) -> str:
    """A curve from the foot of one room to the head of another, straight through its stops."""
    x, y = at[route[0]]
    path = f"M{x:.0f},{y + tall:.0f}"
    for (x, y), (to_x, to_y) in pairwise(at[stop] for stop in route):
        foot, bend = y + tall, GAP[1] / 2
        path += f" L{x:.0f},{foot:.0f} C{x:.0f},{foot + bend:.0f} {to_x:.0f},{to_y - bend:.0f}"
        path += f" {to_x:.0f},{to_y:.0f}"
    style = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<path d="{path}" fill="none" stroke="#555"{style} marker-end="url(#head)"/>'


def _draw_room(room: str, summary: list[str], at: tuple[float, float], tall: int, fill: str) -> str:
    """A box with the name of the room and the first line of its docstring."""
    x, y = at
    lines = "".join(
        f'<text x="{x:.0f}" y="{y + BOX[1] + LINE * (i + 1):.0f}" font-size="11" '
        f'text-anchor="middle">{escape(line, quote=False)}</text>'
        for i, line in enumerate(summary)
    )
    return (
        f'<rect x="{x - BOX[0] / 2:.0f}" y="{y:.0f}" width="{BOX[0]}" height="{tall}" rx="6" '
        f'fill="{fill}" stroke="#999"/><text x="{x:.0f}" y="{y + BOX[1]:.0f}" font-size="13" '
        f'font-weight="bold" text-anchor="middle">{room}</text>{lines}'
    )


def main() -> None:
    """Write both files if the imports are as they should be."""
    modules = read_modules()
    if faults := find_faults(modules):
        sys.exit("\n".join(faults))
    MAP.write_text(write_map(modules), encoding="utf-8", newline="\n")
    PICTURE.write_text(draw(modules), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
