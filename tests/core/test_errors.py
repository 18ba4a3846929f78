import inspect

import pytest

from thresher.core import errors


def test_every_error_is_a_thresher_error():
    found = [e for e in vars(errors).values() if inspect.isclass(e) and issubclass(e, BaseException)]
    assert len(found) > 10
    assert all(issubclass(error, errors.ThresherError) for error in found)


def test_bad_arguments_are_value_errors_too():
    assert issubclass(errors.ArgumentError, ValueError)
    assert issubclass(errors.UnknownNameError, errors.ArgumentError)


def test_a_missing_extra_says_what_to_install():
    assert str(errors.MissingExtraError("the report", "report")) == (
        "the report needs the 'report' extra: pip install 'thresher[report]'"
    )


@pytest.mark.parametrize(
    ("name", "near"), [("snpi", "SNIP"), ("SYNFLOW", "synflow"), ("magnitud", "magnitude"), ("xyzzy", None)]
)
def test_an_unknown_name_gets_the_near_miss_and_the_known_ones(name, near):
    message = str(errors.unknown_name("method", name, ["SNIP", "synflow", "magnitude"]))
    assert message.startswith(f"unknown method '{name}'" + (". Known:" if near is None else ": did you mean"))
    assert message.endswith("Known: SNIP, synflow, magnitude")
    assert (f"did you mean '{near}'?" in message) == (near is not None)
    assert ("did you mean" in message) == (near is not None)


def test_of_many_names_the_nearest_are_listed_and_the_rest_counted():
    cell = "mnist-lenet-300-100-{}-0.9-seed{}"
    names = [cell.format(method, seed) for method in ("grasp", "random", "snip") for seed in range(9)]
    message = str(errors.unknown_name("run", cell.format("snpi", 3), names))
    hint, listed = message.split(" Known: ")
    assert hint == f"unknown run '{cell.format('snpi', 3)}': did you mean '{cell.format('snip', 3)}'?"
    *most, last = listed.split(", ")
    last, more = last.split(" and ")
    assert more == "22 more"
    assert most[0] == cell.format("snip", 3)
    assert all(name in names and "snip" in name for name in (*most, last))
    # as many as are read at a glance are all there, in their own order
    assert str(errors.unknown_name("run", "snpi", names[:9])).endswith(f"Known: {', '.join(names[:9])}")


def test_where_there_is_nothing_it_says_so():
    assert str(errors.unknown_name("study", "mine", [])) == "unknown study 'mine': there are none"


def test_mixed_code_is_allowed_in_the_words_of_the_caller():
    message = str(errors.MixedCodeError("mine", "allow_mixed_code=True"))
    assert "the study 'mine' was begun by another version of the code" in message
    assert "allow both with allow_mixed_code=True" in message
