"""Text stays text."""

from __future__ import annotations

from clinicalgru.html import Markup, join, table, tag


def test_text_and_attributes_are_escaped_but_html_is_kept():
    inner = tag("b", "<i>")
    assert tag("p", "a & b", inner, attrs={"title": "\"'><"}) == (
        '<p title="&#34;&#39;&gt;&lt;">a &amp; b<b>&lt;i&gt;</b></p>'
    )


def test_html_pasted_into_other_text_is_escaped_again():
    assert join(f"note: {Markup('<b>x</b>')}") == "note: &lt;b&gt;x&lt;/b&gt;"


def test_a_table_names_its_columns_and_rows():
    written = table("Effects", ["Variable", "Hour"], [["Lactate", "12"]])
    assert '<th scope="col">Variable</th>' in written
    assert '<th scope="row">Lactate</th>' in written
    assert '<td class="number">12</td>' in written
    assert "<caption>Effects</caption>" in written
