"""pcre2: matches patterns."""

from __future__ import annotations

from pathlib import Path

from slapos.testing.components import Component

PROGRAM = r"""
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
int main(int count, char **words)
{
    int error; PCRE2_SIZE place;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR) words[1], PCRE2_ZERO_TERMINATED, PCRE2_UTF, &error, &place, NULL);
    if (code == NULL) { printf("wrong at %d\n", (int) place); return 0; }
    pcre2_match_data *found = pcre2_match_data_create_from_pattern(code, NULL);
    int count_of = pcre2_match(code, (PCRE2_SPTR) words[2], PCRE2_ZERO_TERMINATED, 0, 0, found, NULL);
    if (count_of < 0) { puts("none"); return 0; }
    PCRE2_SIZE *places = pcre2_get_ovector_pointer(found);
    printf("%d-%d\n", (int) places[0], (int) places[1]);
    return 0;
}
"""


def test_patterns(component: Component, tmp_path: Path) -> None:
    program = component.compile(tmp_path / "match", PROGRAM, "pcre2-8")
    assert component.call(program, r"(?<=/)\d+$", "/page/42").text == "6-8\n"
    assert component.call(program, r"^é\p{Lu}", "éÉ").text == "0-4\n"
    assert component.call(program, "a", "b").text == "none\n"
    assert component.call(program, "(", "b").text == "wrong at 1\n"
