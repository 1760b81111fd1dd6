"""With what numbers were computed, in links and in words."""

from __future__ import annotations

import pytest

from nnlab.provenance import difference, in_words, made_with

HERE = {"nnlab": "0.1.0", "torch": "2.13.0+cpu", "cpu_capability": "AVX512"}


def test_the_word_says_torch_and_processor():
    assert made_with(HERE) == "2.13.0+cpu_AVX512"
    assert made_with({}) == ""
    assert "torch 2.13.0+cpu · AVX512" in in_words(HERE)
    assert "unknown" in in_words({})


@pytest.mark.parametrize("linked", ["", "2.13.0+cpu_AVX512"])
def test_nothing_is_said_where_nothing_differs(linked):
    assert difference(linked, HERE) == ""


@pytest.mark.parametrize("linked", ["2.12.0_AVX512", "2.13.0+cpu_AVX2"])
def test_another_torch_or_processor_is_said(linked):
    assert linked.replace("_", " on ") in difference(linked, HERE)


@pytest.mark.parametrize("linked", ["<b>_x", "x" * 3000, "a b_c", "٢_AVX2", "_", "[a](http://b)_c"])
def test_what_anybody_may_have_written_is_not_repeated(linked):
    assert linked not in difference(linked, HERE)
    assert "does not say" in difference(linked, HERE)
