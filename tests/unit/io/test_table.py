"""Reading CSV tables."""

from __future__ import annotations

import pytest

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.table import is_missing, read_table


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text", ["a,b\n1,2.5\n", "\ufeffa;b\r\n1;2,5\r\n\r\n", "a\tb\n1\t2.5\n", '"a", "b" ,\n1, 2.5,\n'.replace(", ", ",")]
)
def test_the_separators_that_programs_write_are_read(tmp_path, text):
    table = read_table(written(tmp_path, text))
    assert table.columns[:2] == ("a", "b")
    assert table.number(table.rows[0], "b") == 2.5
    assert table.rows[0].line == 2


def test_rows_know_their_line_past_empty_lines_and_quoted_breaks(tmp_path):
    table = read_table(written(tmp_path, 'a,b\n\n1,2\n"x\ny",3\n4,\n'))
    assert [row.line for row in table.rows] == [3, 5, 6]
    assert is_missing(table.rows[-1].values["b"])


def test_a_thousands_separator_is_no_number(tmp_path):
    table = read_table(written(tmp_path, 'a,b\n"1,234",1\n'))
    assert table.number(table.rows[0], "a") is None


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "empty"), ("a,b\n", "no rows"), ("a,a\n1,2\n", "twice"), ("a,b\n1,2,3\n", "Line 2")],
)
def test_what_is_no_table_is_refused(tmp_path, text, says):
    with pytest.raises(InputError, match=says):
        read_table(written(tmp_path, text))


def test_other_encodings_folders_and_columns_that_are_not_there_are_named(tmp_path):
    with pytest.raises(InputError, match="UTF-8"):
        read_table(written(tmp_path, "a,b\nå,2\n", "latin-1"))
    with pytest.raises(InputError, match="not a file"):
        read_table(tmp_path)
    with pytest.raises(InputError, match=r"no column 'c'.*It has a, b"):
        read_table(written(tmp_path, "a,b\n1,2\n")).require("c")
