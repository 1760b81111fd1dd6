"""Paper results: written and read back to the last digit, and nothing else is taken for one."""

from __future__ import annotations

import json
import math
import threading

import pytest
from small_papers import counting

from nnlab.paper_result import PaperResult, read_result, reproduce, write_result

ODD = [1.0, 0.1 + 0.2, -0.0, 1e-300, math.nan, math.inf, -math.inf]


def result_of(**columns):
    settings = {"width": 3, "rates": (0.1, 0.2), "kinds": ("a", "b")}
    return PaperResult("some", settings, columns, {"torch": "2"}, 1.5)


def bits(values):
    return [value if isinstance(value, str) else repr(float(value)) for value in values]


def test_a_result_comes_back_as_it_was(tmp_path):
    words = ["nan", "tanh", "", "ü", "1", "2", "3"]
    before = result_of(number=ODD, word=words)
    after = read_result(write_result(before, tmp_path))
    assert bits(after.columns["number"]) == bits([*ODD[:2], 0.0, *ODD[3:]])
    assert after.columns["word"] == words
    assert after.settings == before.settings
    assert (after.paper, after.environment, after.seconds) == ("some", {"torch": "2"}, 1.5)
    assert isinstance(after.settings["rates"], tuple)


def test_the_file_is_plain_json_without_nan(tmp_path):
    path = write_result(result_of(number=ODD), tmp_path)
    assert path.name == "some.json"

    def refuse(word):
        raise AssertionError(word)

    json.loads(path.read_text(), parse_constant=refuse)


def test_measuring_rounds_to_what_float32_can_mean_and_says_with_what(tmp_path):
    paper = counting()
    steps = []
    result = reproduce(paper, paper.full, lambda *done: steps.append(done), threading.Event())
    assert result.columns["step"] == [0.0, 1.0, 2.0]
    assert result.columns["word"] == ["a", "a", "a"]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert result.environment["torch"]
    third = reproduce(counting(), {"steps": 3}, lambda *done: None, threading.Event())
    assert {n: bits(v) for n, v in third.columns.items()} == {n: bits(v) for n, v in result.columns.items()}


def test_columns_of_different_lengths_are_no_table():
    with pytest.raises(ValueError, match="columns: lengths"):
        result_of(one=[1.0], two=[1.0, 2.0])


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"format":"nnlab.paper","schema":2}', '{"format":"nnlab.run","schema":1}', "\x00"],
)
def test_anything_else_is_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "some.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"some\.json: not a paper's result"):
        read_result(path)
