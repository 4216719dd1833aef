"""Templates escape what they are given, and refuse what they are not."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from vlmkit.report.page import page_templates

TABLE = """
{%- from "macros.html" import lines, row, table -%}
{%- call table(caption, ["Part", "Number"], numeric=[1]) -%}{{ row(cells, numeric=[1]) }}{%- endcall -%}
"""


def render(text: str, **values: object) -> str:
    return page_templates().from_string(text).render(**values)


def test_text_is_escaped_wherever_it_stands() -> None:
    made = render(TABLE, caption='"<b>&', cells=["<i>", "1 < 2"])
    assert 'aria-label="&#34;&lt;b&gt;&amp;"' in made
    assert "<caption>&#34;&lt;b&gt;&amp;</caption>" in made
    assert '<th scope="row">&lt;i&gt;</th>' in made
    assert "1 &lt; 2" in made


def test_a_table_names_its_columns_and_rows() -> None:
    made = render(TABLE, caption="Counts", cells=["a", "1"])
    for part in (
        '<th scope="col">Part</th>',
        '<th scope="col" class="n">Number</th>',
        '<th scope="row">a</th>',
        '<td class="n">1</td>',
        "<caption>Counts</caption>",
    ):
        assert part in made


def test_the_items_of_a_cell_are_escaped_once() -> None:
    made = render('{% from "macros.html" import lines, row %}{{ row(["a", lines(items)]) }}', items=["<b>", None])
    assert '<span class="line">&lt;b&gt;</span><span class="line">\N{EN DASH}</span>' in made


def test_what_has_no_value_is_a_dash_in_every_format() -> None:
    formats = ("count", "duration", "large", "plural('x')", "score('accuracy')", "interval('accuracy')", "millions")
    for name in formats:
        assert render("{{ value | " + name + " }}", value=None) == "\N{EN DASH}", name


def test_a_name_that_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render("{{ results }}")
