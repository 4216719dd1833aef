"""Data flows one way: the layers of vlmkit, and no circle of imports anywhere, those inside functions counted."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

LAYERS = (
    "_version errors",
    "files formatting progress statistics svg",
    "guard",
    "json_files",
    "manifest",
    "api",
    "nn plugin_choice plugin_files registration",
    "registry",
    "spec data runtime testing observing",
    "model run_folder",
    "benchmarks",
    "checkpoints evaluation training",
    "answers summary",
    "study",
    "report bench chat",
    "demo publish scaffold serve",
    "eval_target judgement",
    "runner",
    "cli",
    "vlmkit __main__",
)
"""Modules and packages of vlmkit: each imports from earlier lines alone. `vlmkit` is the package itself, whose names
are for users and plugins."""
APART = {("report", "model"), ("data", "registry")}
"""Pairs of which the first must not import the second, although that stands earlier."""
PUBLIC = ("vlmkit", "vlmkit.api", "vlmkit.nn")
"""Parts of vlmkit that plugins import."""
MORE = {"vlmkit_lm_eval": ("vlmkit.evaluation", "vlmkit.model")}
"""Further parts that one plugin imports: it shows vlmkit's own benchmarks and models to lm-eval."""

Imports = Mapping[str, set[str]]


@pytest.fixture(scope="module")
def imports(root: Path) -> Imports:
    """The modules that each module of vlmkit and of its plugins imports."""
    files = {}
    for base in (root, root / "plugins"):
        for package in base.glob("vlmkit*"):
            for file in package.rglob("*.py"):
                files[".".join(file.relative_to(base).with_suffix("").parts).removesuffix(".__init__")] = file
    return {module: set(_imported(module, file, files)) - {module} for module, file in files.items()}


def _imported(module: str, file: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """The known modules that a file imports; a name of a package that is no module counts as the package."""
    for node in _run(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
            above = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*above, *filter(None, [node.module])])
            names = [f"{start}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            while name and name not in known:
                name = name.rpartition(".")[0]
            if name:
                yield name


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below one, without what stands under TYPE_CHECKING."""
    for child in ast.iter_child_nodes(node):
        yield child
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for other in child.orelse:
                yield from (other, *_run(other))
        else:
            yield from _run(child)


def _part(module: str) -> str:
    """`vlmkit.api.spec` -> `api`, `vlmkit` -> `vlmkit`."""
    return module.split(".")[1] if "." in module else module


def test_every_module_of_vlmkit_has_its_layer(imports: Imports) -> None:
    layers = " ".join(LAYERS).split()
    assert sorted(layers) == sorted({_part(module) for module in imports if module.split(".")[0] == "vlmkit"})


def test_imports_go_one_way(imports: Imports) -> None:
    layer = {part: number for number, line in enumerate(LAYERS) for part in line.split()}
    wrong = {
        f"{module} imports {other}"
        for module, others in imports.items()
        for other in others
        if module.split(".")[0] == other.split(".")[0] == "vlmkit" and _part(module) != _part(other)
        if layer[_part(module)] <= layer[_part(other)] or (_part(module), _part(other)) in APART
    }
    assert not wrong


def test_no_modules_import_each_other_in_a_circle(imports: Imports) -> None:
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_plugins_import_the_public_interface_alone(imports: Imports) -> None:
    foreign = {
        f"{module} imports {other}"
        for module, others in imports.items()
        for other in others
        if module.split(".")[0] != "vlmkit" and other.split(".")[0] == "vlmkit"
        if not any(
            other == part or (other.startswith(f"{part}.") and part != "vlmkit")
            for part in (*PUBLIC, *MORE.get(module.split(".")[0], ()))
        )
    }
    assert not foreign


def test_functions_count_and_type_checking_does_not(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    late = "def f():\n    from . import c\n    from b.x import name\n"
    file.write_text(f"if TYPE_CHECKING:\n    import a\nelse:\n    import b\n{late}")
    known = dict.fromkeys(("a", "b", "pack.c", "b.x"), file)
    assert set(_imported("pack.mine", file, known)) == {"b", "pack.c", "b.x"}
