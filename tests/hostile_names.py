"""Forty names that anybody may give a column, a module or a file: to be shown, and never obeyed."""

from __future__ import annotations

NAMES = (
    "a.b", "a[0]", "a\\b", "it's", 'x"y', "constructor", "__proto__", "toString", "", " ", "count()", "x:Q",
    "x:N", "sum(c0)", "c0", "datum", "datum['x']", "datum.value", "'+alert(1)+'", "</script><b>",
    "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "<a href=http://evil.example>", "&lt;b&gt;",
    "![x](http://evil.example/x.png)", "[a](javascript:alert(1))", "$\\href{http://evil.example}{x}$",
    ":red[a]:material/delete:", "**bold** _under_ `code`", "www.evil.example", "me@evil.example", "{{7*7}}",
    "${7*7}", "=1+1", "@SUM(A1)", "-2+3", "../../etc/passwd", "CON", "\u202eevil", "n" * 200,
)  # fmt: skip
assert len(NAMES) == len(set(NAMES)) == 40
