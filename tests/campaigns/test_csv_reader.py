"""Files as people have them: every encoding and delimiter, broken rows, and nothing that crashes the reader."""

import csv
import io
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.imports import csv_layout, csv_reader
from campaigns.imports.columns import Columns, FieldType, is_header, match, normalised
from campaigns.imports.csv_layout import Layout, UnreadableFileError
from campaigns.imports.csv_reader import MAX_ROW_CHARS, MAX_ROW_LINES, Reader
from campaigns.imports.rows import Refused, Taken, judge
from compliance.data.npa import COUNTRY
from smsplatform.common.phone import Rules

RULES = Rules(frozenset({"US", "CA"}), known_npas=COUNTRY)


def find(content, *, mapping=None, **given):
    return csv_layout.find(io.BytesIO(content), is_header=lambda row: is_header(row, mapping or {}, RULES), **given)


def read(content, **given):
    content = content.encode() if isinstance(content, str) else content
    return [tuple(record) for record in Reader(io.BytesIO(content), find(content, **given))]


def plain(content, **layout):
    layout = Layout(**{"encoding": "utf-8", "delimiter": ",", **layout})
    return [tuple(record) for record in Reader(io.BytesIO(content.encode()), layout)]


def judged(content, mapping=None, types=None):
    content = content.encode()
    layout = find(content, mapping=mapping)
    judge_row = judge(match(layout, mapping or {}, types or {}), RULES)
    return [judge_row(record) for record in Reader(io.BytesIO(content), layout)]


ENCODINGS = [
    ("utf-8", b"", "utf-8"),
    ("utf-8", b"\xef\xbb\xbf", "utf-8-sig"),
    ("utf-16-le", b"\xff\xfe", "utf-16"),
    ("utf-16-be", b"\xfe\xff", "utf-16"),
    ("utf-16-le", b"", "utf-16-le"),
    ("utf-16-be", b"", "utf-16-be"),
    ("utf-32-le", b"\xff\xfe\x00\x00", "utf-32"),
    ("cp1252", b"", "cp1252"),
]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(("encoding", "bom", "found"), ENCODINGS)
def test_reads_every_encoding_delimiter_and_line_end(encoding, bom, found, delimiter, newline):
    lines = ["number|name|note", '2122340001|Zoë|"a, b; c"', "", '2122340002|Jürgen|"two', 'lines"', "2122340003|€|"]
    text = newline.join(line.replace("|", delimiter) for line in lines)
    content = bom + text.encode(encoding)
    layout = find(content)
    assert (layout.encoding, layout.delimiter, layout.header) == (found, delimiter, ("number", "name", "note"))
    assert [tuple(record) for record in Reader(io.BytesIO(content), layout)] == [
        (2, ["2122340001", "Zoë", "a, b; c"], ""),
        (4, ["2122340002", "Jürgen", f"two{newline}lines"], ""),
        (6, ["2122340003", "€", ""], ""),
    ]


def test_one_letter_near_the_end_decides_the_encoding():
    filler = b"2122340001,Ann\n" * 20_000
    assert find(filler + "2122340002,Zoë\n".encode()).encoding == "utf-8"
    assert find(filler + "2122340002,Zoë\n".encode("cp1252")).encoding == "cp1252"


def test_a_letter_cut_by_the_end_of_the_sample_is_whole():
    filler = b"2122340001,Ann\n" * (csv_layout.SAMPLE_BYTES // 15)
    content = filler + b"2" * (csv_layout.SAMPLE_BYTES - len(filler) - 1) + "ë,x\n".encode()
    assert find(content).encoding == "utf-8"


def test_what_is_told_goes_before_what_is_seen():
    content = "number;näme\n2122340001;Zoë\n".encode("cp1250")
    layout = find(content, encoding="cp1250", delimiter=",")
    assert (layout.encoding, layout.delimiter, layout.header) == ("cp1250", ",", ("number;näme",))


def test_the_line_that_excel_writes_for_itself_names_the_delimiter():
    layout = find(b"sep=;\r\nnumber;a,b,c\r\n2122340001;1,2,3\r\n")
    assert (layout.delimiter, layout.header, layout.first_line) == (";", ("number", "a,b,c"), 2)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n\r\n , \n", "has no rows"),
        (b"PK\x03\x04...", "Excel workbook or a zip"),
        (b"\xd0\xcf\x11\xe0", "old Excel"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_says_why_a_file_cannot_be_read(content, reason):
    with pytest.raises(UnreadableFileError, match=reason):
        find(content)


class TestHeader:
    @pytest.mark.parametrize(
        ("first", "expected"),
        [
            ("number,name", True),
            ("Phone Number,x", True),
            ("Name,Mobile", True),
            ("Wer,Was", True),
            ("電話,名", True),
            ("2122340001,Ann", False),
            ("Ann,2122340001", True),
            ("911,Ann", False),
            ("1-800-FLOWERS,Ann", False),
            (",Ann", False),
            ("2.12E9,Ann", False),
        ],
    )
    def test_is_a_row_of_words_where_a_number_should_be(self, first, expected):
        assert bool(find(f"{first}\n2122340009,Bob\n".encode()).header) is expected

    def test_a_mapped_position_is_looked_at_instead(self):
        layout = find(b"Ann,2122340001\nBob,2122340002\n", mapping={"number": "#2"})
        assert (layout.header, match(layout, {"number": "#2"}, {}).number) == ((), 1)

    def test_blank_rows_before_it_do_not_hide_it(self):
        assert read("\n,,\nnumber,name\n\n2122340001,Ann\n") == [(5, ["2122340001", "Ann"], "")]


class TestBrokenRows:
    def test_lines_are_those_of_the_file(self):
        assert [record[0] for record in plain('a,"x\ny\nz"\n\n  \nb\n,,\nc')] == [1, 6, 8]

    def test_an_unclosed_quote_costs_one_line(self):
        assert plain('a,"x\nb,y\nc,z\n') == [(1, [], "unclosed_quote"), (2, ["b", "y"], ""), (3, ["c", "z"], "")]

    def test_an_unclosed_quote_does_not_swallow_the_file(self):
        rows = "".join(f"{i},x\n" for i in range(3 * MAX_ROW_LINES))
        records = plain(f'a,"x\n{rows}')
        assert records[0] == (1, [], "unclosed_quote")
        assert [record[1] for record in records[1:]] == [[str(i), "x"] for i in range(3 * MAX_ROW_LINES)]
        assert [record[0] for record in records] == list(range(1, 3 * MAX_ROW_LINES + 2))

    def test_an_unclosed_quote_before_a_quoted_row_costs_that_line(self):
        assert plain('a,"x\nb,"y"\nc,z\n') == [(1, [], "unclosed_quote"), (2, ["b", "y"], ""), (3, ["c", "z"], "")]

    def test_letters_after_a_closing_quote_are_refused(self):
        assert plain('a,"x"y\nb,z\n') == [(1, [], "broken_quotes"), (2, ["b", "z"], "")]

    @pytest.mark.parametrize("end", ["\n", "\r\n", ""])
    def test_an_endless_line_is_refused_and_the_next_one_read(self, end):
        records = plain("a," + "x" * (3 * MAX_ROW_CHARS) + end + ("b,y\n" if end else ""))
        assert records == [(1, [], "row_too_long"), *([(2, ["b", "y"], "")] if end else [])]

    def test_an_endless_line_inside_a_quote_counts_once(self):
        records = plain('a,"\n' + "x" * (2 * MAX_ROW_CHARS) + "\nb,y\n")
        assert records == [(1, [], "unclosed_quote"), (2, [], "row_too_long"), (3, ["b", "y"], "")]

    def test_zero_bytes_foreign_bytes_and_long_cells_are_refused(self):
        content = b"number,name\n1,a\0b\n2,\xff\n3," + b"x" * 2001 + b"\n4," + b"x" * 2000 + b"\n"
        layout = Layout("utf-8", ",", 1, ("number", "name"))
        flaws = [record.flaw for record in Reader(io.BytesIO(content), layout)]
        assert flaws == ["nul_bytes", "bad_encoding", "field_too_long", ""]
        assert set(flaws) - {""} <= set(csv_reader.FLAWS)

    def test_memory_does_not_grow_with_a_line_without_end(self):
        content = io.BytesIO(b"x" * 30_000_000)
        tracemalloc.start()
        try:
            records = list(Reader(content, Layout("utf-8", ",")))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert [record.flaw for record in records] == ["row_too_long"]
        assert peak < 3_000_000


TEXTS = st.text(alphabet=st.sampled_from('ab1,;"\n\r\t| \0é"') | st.characters(exclude_categories=["Cs"]), max_size=300)


@settings(max_examples=300)
@given(content=TEXTS.map(str.encode) | st.binary(max_size=300) | TEXTS.map(lambda text: text.encode("utf-16")))
def test_no_file_crashes_the_reader(content):
    try:
        layout = find(content)
    except UnreadableFileError:
        return
    assert Layout.from_json(layout.as_json()) == Layout(**layout.as_json() | {"header": layout.header})
    judge_row = judge(match(layout, {}, {}), RULES)
    lines = []
    for record in Reader(io.BytesIO(content), layout):
        lines.append(record.line)
        assert isinstance(judge_row(record), Taken | Refused)
    assert lines == sorted(set(lines))
    assert all(line > layout.first_line for line in lines)


CELLS = st.lists(st.text(alphabet='ab1,;"\n\r é', max_size=8), min_size=1, max_size=4)


@given(rows=st.lists(CELLS, min_size=1, max_size=12))
def test_reads_back_what_the_csv_module_writes(rows):
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    records = plain(text.getvalue())
    assert [record[1] for record in records] == [row for row in rows if "".join(row).strip()]


@given(text=TEXTS, at=st.integers(min_value=0, max_value=20))
def test_goes_on_behind_any_record(text, at):
    content, layout = text.encode(), Layout("utf-8", ",")
    reader = Reader(io.BytesIO(content), layout)
    seen = []
    for record in reader:
        seen.append(record)
        if len(seen) > at:
            break
    rest = list(Reader(io.BytesIO(content), layout, skip=reader.lines_done))
    assert seen + rest == list(Reader(io.BytesIO(content), layout))


class TestColumns:
    def columns(self, header, rows=("2122340001",), mapping=None, types=None):
        content = "\n".join([header, *rows]).encode()
        return match(find(content, mapping=mapping), mapping or {}, types or {})

    def test_are_found_by_their_names(self):
        found = self.columns("Name,Time Zone,Mobile Phone,ZIP Code,Send At,List")
        assert (found.number, found.zone, found.postal_code, found.send_at, found.list) == (2, 1, 3, 4, 5)
        assert [field.name for field in found.fields] == ["name", "postal_code"]

    def test_the_most_telling_name_wins_and_the_other_is_a_field(self):
        found = self.columns("to,phone,mobile")
        assert (found.number, [field.name for field in found.fields]) == (2, ["to", "phone"])

    def test_a_mapping_goes_first_and_may_rename_fields(self):
        found = self.columns("phone,Work Tel,Vorname", mapping={"number": "work tel", "first_name": "Vorname"})
        assert (found.number, [field.name for field in found.fields]) == (1, ["phone", "first_name"])

    def test_without_header_the_first_column_is_the_number(self):
        found = match(find(b"2122340001,Ann,5\n2122340002,Bob\n"), {}, {})
        assert (found.width, found.number, [field.name for field in found.fields]) == (3, 0, ["column_2", "column_3"])

    @pytest.mark.parametrize(
        ("header", "mapping", "types", "reason"),
        [
            ("phone,name", {"number": "Mobile"}, {}, "no column 'Mobile' for number; the file has: phone, name"),
            ("2122340001,Ann", {"zone": "TZ"}, {}, "no header line"),
            ("phone,name", {"number": "#3"}, {}, "no column #3; the file has 2"),
            ("phone,name", {}, {"age": "integer"}, "a type is given for age; the file has: name"),
            ("phone," + ",".join(f"f{i}" for i in range(101)), {}, {}, "at most 100"),
        ],
    )
    def test_says_what_is_missing(self, header, mapping, types, reason):
        with pytest.raises(UnreadableFileError, match=reason):
            self.columns(header, mapping=mapping, types=types)

    @pytest.mark.parametrize(
        ("header", "name"),
        [
            ("First Name", "first_name"),
            ("  E-Mail (work) ", "e_mail_work"),
            ("Größe", "größe"),
            ("2nd", "_2nd"),
            ("x" * 60, "x" * 40),
            ("***", ""),
        ],
    )
    def test_headers_become_names_of_fields(self, header, name):
        assert normalised(header) == name

    def test_the_same_header_twice_gives_two_fields(self):
        found = self.columns("phone,name,Name,,***")
        assert [field.name for field in found.fields] == ["name", "name_2", "column_4", "column_5"]

    @pytest.mark.parametrize(
        ("name", "values", "seen"),
        [
            ("age", ["41", "0", "-7", ""], FieldType.INTEGER),
            ("age", ["41", "007"], FieldType.TEXT),
            ("amount", ["1.5", "20"], FieldType.DECIMAL),
            ("amount", ["1.5", "19.90"], FieldType.TEXT),
            ("card", ["4111111111111111"], FieldType.TEXT),
            ("customer_id", ["1", "2"], FieldType.TEXT),
            ("zip4", ["1", "2"], FieldType.INTEGER),
            ("ship_zip", ["10001"], FieldType.TEXT),
            ("vip", ["yes", "no"], FieldType.TEXT),
            ("x", ["", ""], FieldType.TEXT),
            ("n", ["1,5"], FieldType.TEXT),
            ("n", ["1e5", "nan"], FieldType.TEXT),
        ],
    )
    def test_types_are_seen_with_care(self, name, values, seen):
        rows = [f'2122340001,"{value}"' for value in values]
        (field,) = self.columns(f"phone,{name}", rows).fields
        assert (field.type, field.is_told) == (seen, False)

    def test_survive_being_stored(self):
        found = self.columns("phone,zone,age", ["2122340001,,3"], types={"age": "decimal"})
        assert Columns.from_json(found.as_json()) == found


class TestRows:
    @pytest.mark.parametrize(
        ("told", "cell", "fields"),
        [
            ("integer", "007", '{"x":7}'),
            ("integer", "-12", '{"x":-12}'),
            ("integer", "1.5", None),
            ("integer", "9" * 20, None),
            ("decimal", "19.90", '{"x":19.90}'),
            ("decimal", "-0.5", '{"x":-0.5}'),
            ("decimal", "+007.25", '{"x":7.25}'),
            ("decimal", "1,5", None),
            ("decimal", "NaN", None),
            ("boolean", "YES", '{"x":true}'),
            ("boolean", "0", '{"x":false}'),
            ("boolean", "maybe", None),
            ("text", "007", '{"x":"007"}'),
            ("text", 'a "b"', '{"x":"a \\"b\\""}'),
            ("integer", "", "{}"),
        ],
    )
    def test_a_told_type_binds(self, told, cell, fields):
        quoted = cell.replace('"', '""')
        (row,) = judged(f'number,x\n2122340001,"{quoted}"\n', types={"x": told})
        assert (row.fields if fields else row.reason) == (fields or "bad_value")

    @pytest.mark.parametrize(("cell", "written"), [("5", "5"), ("005", '"005"'), ("many", '"many"'), ("5.0", '"5.0"')])
    def test_a_seen_type_gives_way(self, cell, written):
        filler = "2122340001,7\n" * 600
        row = judged(f"number,x\n{filler}2122340002,{cell}\n")[-1]
        assert row.fields == '{"x":' + written + "}"

    def test_missing_cells_are_empty_and_surplus_ones_refused(self):
        short, long, padded = judged("number,a,b\n2122340001,x\n2122340002,x,y,z\n2122340003,x,y,,\n")
        assert (short.fields, padded.fields) == ('{"a":"x"}', '{"a":"x","b":"y"}')
        assert long == Refused(3, "too_many_columns", "4 columns; the file has 3")

    def test_a_refusal_never_shows_the_number(self):
        (row,) = judged("number,a\n+12025550123,x\n")
        assert row.reason == "reserved_number"
        assert "2025550" not in row.detail

    def test_knows_the_country_of_every_area_code(self):
        assert (COUNTRY["457"], COUNTRY["879"], COUNTRY["787"]) == ("US", "CA", "PR")
