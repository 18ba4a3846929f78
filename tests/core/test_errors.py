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
    assert message.startswith(f"unknown method '{name}':")
    assert message.endswith("Known: SNIP, synflow, magnitude")
    assert (f"did you mean '{near}'?" in message) == (near is not None)
    assert ("did you mean" in message) == (near is not None)


def test_a_table_with_nothing_in_it_is_no_accident():
    assert "unknown model 'a'" in str(errors.unknown_name("model", "a", []))
