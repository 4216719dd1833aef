"""Markup is escaped by construction."""

from __future__ import annotations

from vlmkit.report.html import Html, el, join, table


def test_text_is_escaped_and_markup_is_not() -> None:
    assert el("p", "a < b & c", el("b", "<i>")) == "<p>a &lt; b &amp; c<b>&lt;i&gt;</b></p>"


def test_attributes_are_escaped_renamed_and_left_out() -> None:
    made = el("a", class_="x", aria_label='say "hi" <now>', role=None)
    assert made == '<a class="x" aria-label="say &quot;hi&quot; &lt;now&gt;"></a>'


def test_void_elements_have_no_end_tag() -> None:
    assert el("img", alt="") == '<img alt="">'


def test_join_escapes_strings_and_yields_markup() -> None:
    joined = join(["<", el("b", "x")])
    assert isinstance(joined, Html)
    assert joined == "&lt;<b>x</b>"


def test_a_string_built_from_markup_is_text_again() -> None:
    assert el("p", str(el("b", "x")) + "<") == "<p>&lt;b&gt;x&lt;/b&gt;&lt;</p>"


def test_a_table_names_its_columns_and_rows() -> None:
    made = table("Counts", ["Part", "Number"], [["a", "1"]], numeric=[1])
    assert '<th scope="col">Part</th><th scope="col" class="n">Number</th>' in made
    assert '<th scope="row">a</th><td class="n">1</td>' in made
    assert "<caption>Counts</caption>" in made
