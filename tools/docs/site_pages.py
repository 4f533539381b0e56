"""A hook of MkDocs: which pages the site has, in which order, and what they link to.

The site has the folders of the repository, so that links between pages are the same on both. Its
navigation is the index, docs/README.md. MkDocs warns of a page that the index does not name, and of
a link that leads nowhere; warnings are errors.
"""

from __future__ import annotations

import hashlib
import re
import typing as t
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

if t.TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
INDEX = "docs/README.md"
# what the site begins with; the other pages are those of the index
FIRST = [
    {"Overview": "README.md"},
    {"All pages": INDEX},
    {"Contributing": "CONTRIBUTING.md"},
    {"Changelog": "CHANGELOG.md"},
]
# what draws the pictures; ./do puts it there
MERMAID = ROOT / ".venv" / "docs" / "mermaid.min.js"
MERMAID_SHA256 = "581ed7d74bd9048d0e3a91363927d72ef22942d7722546b27f7cc29e35390eb8"
MERMAID_URI = "tools/docs/mermaid.min.js"
_LINK = re.compile(r"\]\(([^)#:\s]+)")


def on_config(config: MkDocsConfig) -> None:
    """Make the navigation: a group for each heading of the index."""
    groups: list[dict[str, list[dict[str, str]]]] = [{"Home": FIRST}]
    for line in (ROOT / INDEX).read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            groups.append({line[3:]: []})
        elif row := re.match(r"\| \[(.+?)\]\((.+?)\)", line):
            [pages] = groups[-1].values()
            pages.append({row[1]: _beside(INDEX, row[2])})
    config.nav = groups


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put the pages at their places in the repository, with the files that they link to."""
    themes = [file for file in files if file.src_dir != config.docs_dir]
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")}
    for group in t.cast("list[dict[str, list[dict[str, str]]]]", config.nav):
        pages.update(uri for each in group.values() for page in each for uri in page.values())
    linked = {
        _beside(page, link)
        for page in pages
        for link in _LINK.findall((ROOT / page).read_text(encoding="utf-8"))
    }
    wanted = {*pages, *linked, *config.extra_css}
    paths = {uri: ROOT / uri for uri in wanted if (ROOT / uri).is_file()}
    if hashlib.sha256(MERMAID.read_bytes()).hexdigest() != MERMAID_SHA256:
        raise PluginError(f"{MERMAID.name} is not the file of the version that ./do names")
    paths[MERMAID_URI] = MERMAID
    ours = [File.generated(config, uri, abs_src_path=str(paths[uri])) for uri in sorted(paths)]
    return Files([*themes, *ours])


def on_page_content(html: str, page: Page, files: Files, **_: object) -> str:
    """Load what draws pictures, where there are some: the theme would fetch it from elsewhere."""
    if 'class="mermaid"' not in html:
        return html
    script = t.cast("File", files.get_file_from_path(MERMAID_URI)).url_relative_to(page.file)
    return f'{html}\n<script src="{script}"></script>'


def _beside(page: str, link: str) -> str:
    """Give the path in the repository that a link of a page leads to."""
    target = ((ROOT / page).parent / link).resolve()
    return target.relative_to(ROOT).as_posix() if target.is_relative_to(ROOT) else link
