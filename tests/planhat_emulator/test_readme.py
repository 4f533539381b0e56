"""demo/README.md: its Python does what it says."""

from __future__ import annotations

from tests.documents import all_blocks

PAGE = "demo/README.md"


def test_the_example_in_python_runs() -> None:
    [example] = [block.text for block in all_blocks(PAGE) if block.language == "python"]
    assert "    ...  # planhat.url" in example
    names: dict[str, object] = {}

    exec(example.replace("    ...  #", "    url = planhat.analytics_url  #"), names)

    assert str(names["url"]).startswith("http://127.0.0.1:")
