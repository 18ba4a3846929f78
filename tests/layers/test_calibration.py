"""What is run to learn a layer's cost, and what is made of the times. No test looks at a real clock."""

import copy
import math

import pytest
import torch
from torch import nn

from thresher.layers import SparseLayer, calibration
from thresher.layers.calibration import Probe, measured
from thresher.layers.calls import Call
from thresher.layers.cost_model import LayerCost
from thresher.layers.masked_parameter import MaskedParameter


def probe_of(layer, *shape, batch=32, for_inputs=True):
    """The layer's call on an example of `shape`, the batch dimension included."""
    y = layer(torch.zeros(shape, dtype=next(layer.parameters()).dtype))
    outputs = y[0].shape if isinstance(y, tuple) else y.shape
    return Probe(layer, Call(torch.Size(shape), outputs, for_inputs), batch)


class Clock:
    """Seconds that only pass while a piece of work says so."""

    def __init__(self):
        self.now = 0.0
        self.runs = 0

    def __call__(self):
        return self.now

    def work(self, seconds, slowed=lambda run: 1.0):
        def run():
            self.runs += 1
            self.now += seconds * slowed(self.runs)

        return run


def test_the_fastest_run_of_each_piece_makes_the_cost(monkeypatch):
    clock = Clock()
    disturbed = {
        "dense": clock.work(0.09, lambda run: 3.0 if run % 4 or run > 20 else 1.0),
        "arriving": clock.work(0.005),
        "leaving": clock.work(0.0025, lambda run: 1.0 + 1.0 / run),
        100: clock.work(0.03),
        200: clock.work(0.04),
    }
    monkeypatch.setattr(calibration, "_work", lambda probe, examples: disturbed)
    (cost,) = measured([probe_of(nn.Linear(3, 2), 1, 3)], clock)
    assert cost.dense == pytest.approx(0.09)
    assert (cost.fixed, cost.per_kept) == pytest.approx((0.02, 0.0001))
    assert cost.arriving == pytest.approx(0.005)
    assert cost.leaving == pytest.approx(0.0025, rel=0.1)


def test_rounds_go_on_while_they_find_something_faster_and_not_for_ever(monkeypatch):
    def runs(seconds, slowed):
        clock = Clock()
        work = dict.fromkeys(("arriving", "leaving", 1), clock.work(seconds)) | {"dense": clock.work(seconds, slowed)}
        monkeypatch.setattr(calibration, "_work", lambda probe, examples: work)
        measured([probe_of(nn.Linear(3, 2), 1, 3)], clock)
        return clock.runs

    per_round = 4 * 2  # four pieces, each run uncounted and counted
    assert runs(0.1, lambda run: 1.0) == 3 * per_round  # a first round and two that confirm it
    assert runs(0.1, lambda run: 2.0 if run < 12 else 1.0) == 4 * per_round
    assert runs(2.0, lambda run: 1.0) == per_round  # 16 seconds are enough
    assert runs(0.2, lambda run: 0.99**run) > 5 * per_round  # until then


def test_large_layers_are_run_on_fewer_examples_and_scaled_up(monkeypatch):
    clock, asked = Clock(), []

    def work(probe, examples):
        asked.append(examples)
        return {"dense": clock.work(1.0), "arriving": clock.work(2.0), "leaving": clock.work(3.0), 1: clock.work(4.0)}

    monkeypatch.setattr(calibration, "_work", work)
    layer = nn.Linear(2**12, 2**12, device="meta")
    probe = Probe(layer, Call(torch.Size([1, 2**12]), torch.Size([1, 2**12]), True), 1024)
    (cost,) = measured([probe], clock)
    assert asked == [2**30 // 2**24]
    assert cost == LayerCost(16.0, 64.0, 0.0, 32.0, 48.0)
    small, huge = Probe(nn.Linear(3, 2), probe.call, 1024), Probe(layer, Call(*[torch.Size([900, 4096])] * 2, True), 64)
    measured([small, huge], clock)
    assert asked[1:] == [1024, 16]


LAYERS = {
    "linear": (lambda: nn.Linear(30, 20), (1, 30)),
    "linear, rows": (lambda: nn.Linear(30, 20), (1, 5, 30)),
    "linear, one vector": (lambda: nn.Linear(30, 20), (30,)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, padding="same"), (1, 4, 9)),
    "conv2d": (lambda: nn.Conv2d(4, 6, 3, stride=2, groups=2, bias=False), (1, 4, 9, 8)),
    "conv2d, one image": (lambda: nn.Conv2d(4, 6, 3), (4, 9, 8)),
    "lstm": (lambda: nn.LSTM(6, 5, num_layers=2, dropout=0.5, bidirectional=True), (4, 1, 6)),
    "gru": (lambda: nn.GRU(6, 5, batch_first=True), (1, 4, 6)),
    "gru, one sequence": (lambda: nn.GRU(6, 5), (4, 6)),
    "float64": (lambda: nn.Linear(30, 20).double(), (1, 30)),
}


@pytest.mark.parametrize(("make", "shape"), LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("for_inputs", [True, False])
def test_the_work_is_a_step_of_the_same_layer_on_the_whole_batch(make, shape, for_inputs):
    layer = make()
    probe = probe_of(layer, *shape, batch=8, for_inputs=for_inputs)
    work = calibration._work(probe, 8)
    steps = [step for name, step in work.items() if name == "dense" or isinstance(name, int)]
    assert len(steps) == 3
    for step in steps:
        y = step.module(step.x)
        y = y[0] if isinstance(y, tuple) else y
        assert y.shape == step.gradient.shape
        assert y.numel() == 8 * math.prod(probe.call.outputs)
        assert y.dtype == torch.float32
        assert step.x.numel() == 8 * math.prod(shape)
        assert step.x.requires_grad == for_inputs
        assert len(step.wanted) == len(list(layer.parameters())) + for_inputs
        assert step.module.training
    dense = work["dense"].module
    assert type(dense) is type(layer)
    assert repr(dense) == repr(layer)
    weights = {name for name, p in dense.named_parameters() if isinstance(p, MaskedParameter)}
    assert weights == {name for name, _ in layer.named_parameters() if name.startswith("weight")}
    for kept, step in work.items():
        if isinstance(kept, int):
            assert isinstance(step.module, SparseLayer)
            assert sum(step.module.get_parameter(name).numel() for name in step.module.sparse_weights) == kept
    for run in work.values():
        run()
    assert all(tensor.grad is None for step in steps for tensor in step.wanted)


def test_a_step_asks_for_every_gradient():
    x, gradient, layer = torch.randn(4, 3), torch.randn(4, 2), nn.Linear(3, 2)
    seen = {}
    for name, parameter in layer.named_parameters():
        parameter.register_hook(lambda found, name=name: seen.update({name: found}))
    step = calibration._Step(layer, x, gradient, True)
    step.x.register_hook(lambda found: seen.update(x=found))
    step()
    torch.testing.assert_close(seen, {"x": gradient @ layer.weight, "weight": gradient.T @ x, "bias": gradient.sum(0)})


def test_sparse_layers_are_measured_on_the_layout_they_hand_each_other():
    work = calibration._work(probe_of(nn.Conv2d(3, 4, 3), 1, 3, 8, 8, batch=16), 16)
    steps = {name: step for name, step in work.items() if name == "dense" or isinstance(name, int)}
    for name, step in steps.items():
        for tensor in (step.x, step.gradient):
            assert tensor.movedim(0, -1).is_contiguous() == (name != "dense")


def test_huge_layers_are_measured_with_fewer_kept_weights(monkeypatch):
    monkeypatch.setattr(calibration, "_MOST_KEPT", 100)
    for name in calibration._work(probe_of(nn.Linear(100, 80), 1, 100, batch=2), 2):
        assert isinstance(name, str) or name < 200


def test_nothing_is_touched_and_the_mode_around_does_not_matter():
    layer = nn.LSTM(3, 4, num_layers=2, dropout=0.5).requires_grad_(False).eval()
    called = []
    layer.register_forward_hook(lambda *_: called.append(True))
    probe = Probe(layer, Call(torch.Size([2, 1, 3]), torch.Size([2, 1, 4]), True), 4)
    before, state = copy.deepcopy(layer.state_dict()), torch.get_rng_state()
    seconds = iter(range(10**6))

    def clock():
        assert not torch.is_autocast_enabled("cpu")
        return next(seconds)

    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        (cost,) = measured([probe], clock)
    assert cost.dense == 1
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    assert not called
    assert not layer.training
    assert not any(p.requires_grad or p.grad is not None for p in layer.parameters())


def test_the_name_tells_apart_what_costs_differently():
    call = Call(torch.Size([1, 3, 8, 8]), torch.Size([1, 4, 6, 6]), True)
    probes = [
        Probe(nn.Conv2d(3, 4, 3), call, 32),
        Probe(nn.Conv2d(3, 4, 3), call, 64),
        Probe(nn.Conv2d(3, 4, 3, bias=False), call, 32),
        Probe(nn.Conv2d(3, 4, 3, dilation=2, padding=2), call, 32),
        Probe(nn.Conv2d(3, 4, 3), call._replace(for_inputs=False), 32),
        Probe(nn.Conv2d(3, 4, 3), call._replace(inputs=torch.Size([1, 3, 9, 9])), 32),
    ]
    assert len({probe.name for probe in probes}) == len(probes)
    assert Probe(nn.Conv2d(3, 4, 3), call, 32).name == probes[0].name
