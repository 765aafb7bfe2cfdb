"""The language of rules as tables: what it says, and what it says about mistakes."""

import pytest

from providers.adapters.base import InvalidOption, Outcome, ReceiptStatus
from providers.adapters.base_rules import Report, read_refusals, read_statuses, read_when

RULES = """
# the vendor's list of errors
status=400,422 field=error.code value=E12 -> rejected_permanent
status=403     field=error.code value=E13 field=kind value="opt out" -> rejected_permanent opted_out  # STOP
status=429     field=error.code value=E19 -> unknown
status=429     field=error.code value=*   -> rejected_retryable
"""


@pytest.mark.parametrize(
    ("status", "said", "meaning"),
    [
        (400, {"error.code": "E12"}, (Outcome.REJECTED_PERMANENT, False)),
        (422, {"error.code": "E12"}, (Outcome.REJECTED_PERMANENT, False)),
        (500, {"error.code": "E12"}, None),
        (400, {"error.code": "E1"}, None),
        (400, {"error.code": "E123"}, None),
        (403, {"error.code": "E13", "kind": "opt out"}, (Outcome.REJECTED_PERMANENT, True)),
        (403, {"error.code": "E13"}, None),
        (429, {"error.code": "E19"}, (Outcome.UNKNOWN, False)),
        (429, {"error.code": "whatever"}, (Outcome.REJECTED_RETRYABLE, False)),
        (429, {}, None),
    ],
)
def test_the_first_rule_that_fits_counts(status, said, meaning):
    rules = read_refusals("refused_when", RULES)
    fitting = [each for each in rules if each.when.holds(lambda path: said.get(path, ""), status)]
    assert [(each.outcome, each.opted_out) for each in fitting[:1]] == ([meaning] if meaning else [])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("status=400 field=a value=b", "must have one arrow; write"),
        ("status=400 field=a value=b -> unknown -> unknown", "must have one arrow"),
        ("status=400 field=a value=b ->", "nothing is no meaning; write one of rejected_permanent, rejected_retryable"),
        ("status=400 field=a value=b -> rejected", "'rejected' is no meaning"),
        ("status=400 field=a value=b -> accepted", "'accepted' is no meaning"),
        ("status=400 field=a value=b -> not_posted", "'not_posted' is no meaning"),
        ("status=400 field=a value=b -> unknown stop", "'stop' after the meaning; leave it out, or write opted_out"),
        ("status=400 -> rejected_permanent", "a status alone could come from anybody's server"),
        ("field=a value=b -> rejected_permanent", "write status="),
        ("-> rejected_permanent", "write status="),
        ("status=400 field=a -> unknown", "field=a has no value; write field=a value=text"),
        ("status=400 value=b -> unknown", "'value=b' stands wrong"),
        ("status=400 field=a field=b value=c -> unknown", "'field=b' stands wrong"),
        ("status=400 field=a status=400 -> unknown", "'status=400' stands wrong"),
        ("status=400 field= value=c -> unknown", "'field=' stands wrong"),
        ("status=400 code=5 -> unknown", "'code=5' stands wrong; write status=200,201 or field=a.path value=text"),
        ("status=4xx field=a value=b -> unknown", "'4xx' is no HTTP status; write numbers from 200 to 599"),
        ("status=400, field=a value=b -> unknown", "'' is no HTTP status"),
        ("status=40² field=a value=b -> unknown", "'40²' is no HTTP status"),
        ("status=100 field=a value=b -> unknown", "'100' is no HTTP status"),
        ('status=400 field=a value="b -> unknown', "no closing quotation; open and close quotes in the same line"),
    ],
)
def test_a_wrong_rule_is_told_with_its_line(line, problem):
    with pytest.raises(InvalidOption) as raised:
        read_refusals("refused_when", f"# a comment\n\n{line}\n")
    assert str(raised.value).startswith("refused_when, line 3: ")
    assert problem in str(raised.value)


def test_no_lines_are_no_rules():
    assert read_refusals("refused_when", " \n# nothing\n") == ()


def test_without_conditions_everything_holds():
    assert read_when("accepted_when", "").holds(lambda _: "", 500)


def test_a_status_table_is_added_to_our_own_words():
    table = read_statuses("statuses", 'DELIVRD "Handed over" -> delivered\nUNSUB -> rejected opted_out\nsent -> queued')
    assert table["delivrd"] == table["handed over"] == table["delivered"] == Report(ReceiptStatus.DELIVERED)
    assert table["unsub"] == Report(ReceiptStatus.REJECTED, opted_out=True)
    assert table["sent"] == Report(ReceiptStatus.QUEUED)
    assert {str(status) for status in ReceiptStatus} <= set(table)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("DELIVRD", "must have one arrow"),
        ("DELIVRD -> arrived", "'arrived' is no meaning; write one of accepted, queued, sent, delivered"),
        ("-> delivered", "no word of the vendor's; write at least one before the arrow"),
    ],
)
def test_a_wrong_status_is_told_with_its_line(line, problem):
    with pytest.raises(InvalidOption) as raised:
        read_statuses("statuses", f"A -> sent\n{line}")
    assert str(raised.value).startswith("statuses, line 2: ")
    assert problem in str(raised.value)
