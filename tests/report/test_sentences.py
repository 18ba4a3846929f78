import pytest

from thresher.report import sentences

RECIPE = {"data": "mnist", "model": "lenet-300-100", "method": "snip"}
RESULT = {
    "kept": 13310,
    "prunable": 266200,
    "sparsity": 0.95,
    "epochs": 20.0,
    "test_error_final_pct": 1.8,
    "collapse": {"effective_kept": 13000},
}


def collapsed(layers, kept, effective, prunable=1000):
    collapse = {
        "collapsed_layers": layers,
        "effective_kept": effective,
        "effective_sparsity": 1 - effective / prunable,
    }
    return {"kept": kept, "prunable": prunable, "sparsity": 1 - kept / prunable, "collapse": collapse}


def test_the_headline_says_what_was_done():
    assert sentences.headline(RECIPE, RESULT) == (
        "SNIP kept 13,310 of 266,200 weights (95.0 % removed) of lenet-300-100 and trained it on mnist for 20 epochs: "
        "test error 1.80 % at the end"
    )


@pytest.mark.parametrize(
    ("recipe", "result", "said"),
    [
        ({}, {"epochs": 1.0}, "for 1 epoch:"),
        ({}, {"epochs": 0.5}, "for 0.5 epochs:"),
        ({}, {"epochs": 1.21951}, "for 1.22 epochs:"),
        ({}, {"epochs": 148.15}, "for 148 epochs:"),
        ({}, {"collapse": {"effective_kept": 0}}, "it computes a constant"),
        ({}, {"test_error_final_pct": None}, "no test error was measured"),
        ({}, {"test_error_final_pct": float("nan")}, "test error not a number at the end"),
        ({"method": "my-own"}, {}, "my-own kept 13,310"),
        ({"method": None}, {}, "None kept"),
        ({}, {"kept": 266200, "sparsity": 0.0}, "lenet-300-100 kept all of its 266,200 prunable weights"),
    ],
)
def test_the_headline_of_unusual_runs(recipe, result, said):
    assert said in sentences.headline(RECIPE | recipe, RESULT | result)


def test_nothing_cut_off():
    assert sentences.connection(collapsed([], 100, 100)) == [
        "No layer was emptied: each keeps at least one weight.",
        "Every kept weight lies on a path from input to output, so the effective sparsity, 0.900, is the sparsity.",
    ]


def test_idle_weights_are_counted():
    said = " ".join(sentences.connection(collapsed([], 100, 97)))
    assert said.startswith("No layer was emptied")
    assert "3 of the 100 kept weights lie on no path" in said
    assert "effective sparsity, 0.903 in place of 0.900" in said


def test_a_difference_beyond_three_decimals_is_shown():
    said = " ".join(sentences.connection(collapsed([], 100_000, 99_999, prunable=1_000_000)))
    assert "0.900001 in place of 0.900000" in said


def test_empty_layers_are_named_and_a_way_around_them_too():
    one = " ".join(sentences.connection(collapsed(["a"], 100, 90)))
    two = " ".join(sentences.connection(collapsed(["a", "b"], 100, 90)))
    assert "1 layer keeps nothing at all: a. Input and output are still connected around it." in one
    assert "2 layers keep nothing at all: a, b. Input and output are still connected around them." in two


def test_a_cut_network_is_called_that():
    said = sentences.connection(collapsed(["a"], 100, 0))
    assert said[0] == "1 layer keeps nothing at all: a."
    assert said[1].startswith("No path from input to output leads through a kept weight")
    assert len(said) == 2


def test_the_engine_is_said_with_its_layers():
    layers = [{"name": "fc1.weight"}, {"name": "fc2.weight"}]
    assert sentences.engine_line({"engine": "sparse", "sparse_layers": ["fc2"], "layers": layers}).endswith(
        "1 of 2 layers"
    )
    assert sentences.engine_line({"engine": "masked", "sparse_layers": [], "layers": layers}) == "masked"
    assert sentences.engine_line({"engine": "masked", "layers": layers}) == "masked"


def test_the_time_of_masked_layers_is_not_sold_as_that_of_sparse_ones():
    assert "dense layers" in sentences.timed_on("masked")
    assert "only the kept weights" in sentences.timed_on("sparse")
    assert sentences.timed_on("other") == "measured on the engine other"
