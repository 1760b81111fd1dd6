"""The fuzz of every parser in small, and every input that was ever found to break one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks import fuzz_child
from benchmarks.fuzz_cases import TARGETS, Find, expect, refusal

CASES = 120  # a target; `python -m benchmarks fuzz` reads 165,000
CORPUS = Path(__file__).parent / "corpus"
SEED = 1


@pytest.mark.parametrize("target", TARGETS)
def test_no_case_is_a_crash_a_hang_or_an_undocumented_error(target: str) -> None:
    taken = sum(TARGETS[target].read(fuzz_child.case(target, number, SEED)) for number in range(CASES))
    assert 0 < taken < CASES  # some are right and some are wrong


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_what_once_broke_a_parser_does_not(path: Path) -> None:
    """A file is called after its target: run_files-short-rows.jsonl."""
    TARGETS[path.name.split("-")[0].replace("_", " ")].read(path.read_bytes())


def test_a_case_is_the_same_every_time() -> None:
    for target, entry in TARGETS.items():
        assert fuzz_child.case(target, 3, 5) == entry.make(random.Random(f"5/{target}/3"))


def test_a_child_says_what_it_found_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(content: bytes) -> bool:
        expect(b"7" not in content, "a seven")
        return True

    target = fuzz_child.TARGETS["links"]
    monkeypatch.setitem(
        fuzz_child.TARGETS, "links", type(target)(lambda draw: b"%d" % draw.randrange(10), read, 1)
    )
    result = fuzz_child.run("links", range(50), SEED, tmp_path)
    sevens = [n for n in range(50) if fuzz_child.case("links", n, SEED) == b"7"]
    assert [find["case"] for find in result["finds"]] == sevens
    assert sevens
    assert {find["found"] for find in result["finds"]} == {"Find: a seven"}
    assert {Path(find["file"]).read_bytes() for find in result["finds"]} == {b"7"}
    assert (result["taken"], len(result["growth"])) == (50 - len(sevens), 50)


def test_a_refusal_must_be_a_short_line() -> None:
    refusal(ValueError("file: too large"))
    for text in ("", "a\nb", "x" * 2000, "a\0b"):
        with pytest.raises(Find):
            refusal(ValueError(text))
