"""Files for citing, packaging and containers say what the project is, and name what is there."""

import re
import tomllib

import pytest
from fixtures.places import DOCS, ROOT

from priorbench import __version__

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONDA_NAMES = {
    "torch": "pytorch",
    "pyBigWig": "pybigwig",
    "lazy-loader": "lazy_loader",
    "docstring-parser": "docstring_parser",
}
"""names of packages that differ on conda's channels"""


@pytest.fixture(scope="module")
def yaml():
    return pytest.importorskip("yaml", reason="PyYAML is not installed")


def test_the_citation_has_what_its_format_asks_for_and_this_version(yaml):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    # the keys of version 1.2.0 of the format that are used here, and their types
    kinds = dict.fromkeys(("cff-version", "message", "title", "abstract", "license"), str)
    kinds |= {"type": str, "version": str, "authors": list, "keywords": list}
    assert set(citation) <= set(kinds)
    for name, value in citation.items():
        assert isinstance(value, kinds[name]), name
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert all({"name"} == set(author) for author in citation["authors"])
    assert citation["authors"] == PROJECT["project"]["authors"]
    assert citation["version"] == PROJECT["project"]["version"] == __version__
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation["keywords"] == PROJECT["project"]["keywords"]


def test_the_conda_recipe_is_the_project(yaml):
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    project = PROJECT["project"]
    assert recipe["context"]["version"] == project["version"]
    assert recipe["package"] == {"name": project["name"], "version": "${{ version }}"}
    needed = [re.fullmatch(r"([\w-]+)(.*)", line).groups() for line in project["dependencies"]]
    runs = [f"{CONDA_NAMES.get(name, name)} {bound}" for name, bound in needed]
    python = f"python {project['requires-python']}"
    assert recipe["requirements"]["run"] == [python, *runs]
    (backend,) = PROJECT["build-system"]["requires"]
    assert recipe["requirements"]["host"] == [python, "pip", backend.replace(">=", " >=")]
    (script,) = project["scripts"].items()
    assert recipe["build"]["python"]["entry_points"] == [" = ".join(script)]
    assert (ROOT / recipe["about"]["license_file"]).is_file()
    assert (ROOT / "conda" / recipe["source"]["path"] / "pyproject.toml").is_file()


def instructions():
    text = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and line[0] not in "# "]
    return [line.split(maxsplit=1) for line in lines]


def test_the_container_has_a_base_by_argument_and_a_user_without_rights():
    words = instructions()
    names = [name for name, _ in words]
    assert words[0][1].startswith("BASE=")
    assert words[1] == ["FROM", "${BASE}"]
    user = next(text for name, text in words if name == "USER")
    assert user not in ("root", "0")
    assert f"useradd --create-home --uid 10001 {user} " in dict(words)["RUN"]
    assert names.index("RUN") < names.index("USER") < names.index("ENTRYPOINT")
    assert words[-2:] == [["ENTRYPOINT", '["priorbench"]'], ["CMD", '["--help"]']]


def test_the_container_copies_what_the_build_of_the_package_needs():
    copied = " ".join(text for name, text in instructions() if name == "COPY").split()
    sources = {path for path in copied if not path.startswith("/source")}
    assert all((ROOT / path).exists() for path in sources)
    folders = {PROJECT["tool"]["setuptools"]["package-dir"][name] for name in packages_elsewhere()}
    project = PROJECT["project"]
    files = {"pyproject.toml", "constraints.txt", project["readme"], *project["license-files"]}
    assert files | folders | {"priorbench"} == sources
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == sources


def packages_elsewhere():
    return PROJECT["tool"]["setuptools"]["package-dir"]


def test_the_page_on_containers_names_the_arguments_and_their_defaults():
    page = (DOCS / "how-to" / "containers.md").read_text(encoding="utf-8")
    arguments = dict(text.split("=", 1) for name, text in instructions() if name == "ARG")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(arguments)
    assert f"| `BASE` | `{arguments['BASE']}` |" in page


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.md")), ids=lambda p: p.name)
def test_templates_name_pages_that_are_there_and_no_host(path, yaml):
    text = path.read_text(encoding="utf-8")
    assert "http" not in text
    for name in re.findall(r"docs/[\w./-]*\w", text):
        assert (ROOT / name).exists(), name
    if path.parent.name == "ISSUE_TEMPLATE":
        head = yaml.safe_load(text.split("---")[1])
        assert {"name", "about", "title", "labels"} == set(head)
        assert head["name"]
        assert head["about"]
