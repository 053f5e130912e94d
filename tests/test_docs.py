"""The README and docs are true: their Python runs, their shell commands work, their links lead."""

import doctest
import os
import re
import runpy
import shlex
from pathlib import Path

import pytest

from tinygrad_margin.cli.commands import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_the_pages_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "\n".join(blocks(page, "python"))
    examples = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    report = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(examples, out=report.append)
    assert runner.failures == 0, "".join(report)
    assert ">>>" not in re.sub(
        r"^```python\n.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_this_package_in_the_pages_works(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            for command in line.split("&&"):
                words = shlex.split(command, comments=True)
                if words[:3] == ["python", "-m", "tinygrad_margin"]:
                    assert main(words[3:]) == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page):
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r'src(?:set)?="([^"]+)"', text):
        if "://" not in target:
            assert os.path.exists(page.parent / target), target


def test_the_readme_has_two_commands():
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(re.findall(r"^<!-- (run|test) command -->\n```sh\n.+\n```$", text, re.M)) == 2


def test_every_picture_in_docs_is_made_by_the_script(tmp_path):
    script = runpy.run_path(str(ROOT / "docs" / "make_pictures.py"))
    script["main"](tmp_path)
    made = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    kept = {path.name: path.read_text("utf-8") for path in (ROOT / "docs" / "pictures").iterdir()}
    assert made.keys() == kept.keys()
    for name, text in made.items():  # what they say; layouts differ between Graphviz versions
        said = r"<text[^>]*>([^<]*)</text>"
        assert re.findall(said, text) == re.findall(said, kept[name])


def test_the_reference_has_every_public_name_and_no_other():
    import tinygrad_margin
    from tinygrad_margin import nn

    text = (ROOT / "docs" / "reference.md").read_text("utf-8")
    assert sorted(re.findall(r"^### (\w+)$", text, re.M)) == sorted(tinygrad_margin.__all__ + nn.__all__)
    for name in tinygrad_margin.__all__ + nn.__all__:
        entry = text.split(f"\n### {name}\n")[1].split("\n### ")[0]
        assert re.match(rf"\n`{name}\b.*`\n\n\S", entry), name
        assert "```python\n>>> " in entry, name


def test_the_reference_says_what_the_docstrings_say():
    script = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))
    assert (ROOT / "docs" / "reference.md").read_text("utf-8") == script["reference"]()


def test_the_reference_lists_errors_one_kind_after_the_other():
    text = (ROOT / "docs" / "reference.md").read_text("utf-8")
    lists = re.findall(r"^Raises:\n\n((?:- .+\n)+)", text, re.M)
    assert len(lists) > 20
    for line in "".join(lists).splitlines():
        assert re.match(r"- `(\w+(Error|NotFound)(, )?)+`: \w", line), line
        assert not re.search(r"\. \w+Error[^.]*: ", line), line
    assert "NoReturn" not in text


def test_the_reference_describes_what_gradcheck_gives():
    import dataclasses

    from tinygrad_margin.check import CheckedSlope, GradientCheck

    entry = (ROOT / "docs" / "reference.md").read_text("utf-8").split("\n### gradcheck\n")[1]
    entry = entry.split("\n### ")[0]
    for kind in (GradientCheck, CheckedSlope):
        for field in dataclasses.fields(kind):
            assert f"- `{field.name}`: " in entry.split(f"#### {kind.__name__}\n")[1]


def test_every_test_that_reliability_names_exists():
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    file, named = "", re.findall(r"`((?:\w+/)?test_\w+\.py)?::(test_\w+)`", text)
    assert named
    for given, test in named:
        file = given or file
        assert f"\ndef {test}(" in (ROOT / "tests" / file).read_text("utf-8"), test


def test_how_it_is_built_links_names_to_files_that_define_them():
    text = (ROOT / "docs" / "how-it-is-built.md").read_text("utf-8")
    stops = re.findall(r"\[`(\w+)`\]\(\.\./(tinygrad_margin/[\w/]+\.py)\)", text)
    assert len(stops) >= 10
    for name, path in stops:
        code = (ROOT / path).read_text("utf-8")
        assert re.search(rf"^(def|class) {name}\b|^{name} = ", code, re.M), (name, path)
    sweep = re.search(r"```text\n(totals = .*?)```", text, re.S)[1]
    engine = (ROOT / "tinygrad_margin" / "engine.py").read_text("utf-8")
    assert "".join(f"    {line}\n" for line in sweep.splitlines()) in engine


def test_the_picture_of_the_rooms_has_every_room():
    drawn = (ROOT / "docs" / "pictures" / "rooms.svg").read_text("utf-8")
    for path in (ROOT / "tinygrad_margin").iterdir():
        if path.suffix == ".py" or (path / "__init__.py").exists():
            assert path.stem.startswith("__") or f">{path.stem}<" in drawn, path
