"""Recurrent layers against graphs unrolled in time, and against the Jacobians of the layers themselves."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from thresher.analysis import collapse
from thresher.core import Mask, generator

KINDS = {nn.RNN: 1, nn.GRU: 3, nn.LSTM: 4}  # gates
STEPS = 3


class Reading(nn.Module):
    """A recurrent layer of which some time steps are fed, the others being zeros, and some are read."""

    def __init__(self, layer, fed, read):
        super().__init__()
        self.layer, self.fed, self.read = layer, fed, read

    def forward(self, x):
        time = 1 if self.layer.batch_first else 0
        x = torch.cat([s if t in self.fed else torch.zeros_like(s) for t, s in enumerate(x.split(1, time))], time)
        return self.layer(x)[0].transpose(0, time)[self.read]


def step(graph, mask, sources, states, names, gates):
    """One step of one direction: (hidden nodes, memory nodes) from the step's input nodes."""
    w_input, w_hidden, w_project = names
    hidden, memory = states
    driven = graph.linear(w_input, mask[w_input], sources)
    recurrent = graph.linear(w_hidden, mask[w_hidden], hidden)
    width = len(driven) // gates
    new = graph.nodes(width)
    for rows in (driven, recurrent):
        graph.join(rows, np.tile(new, gates))  # gate row r belongs to unit r mod width
    if gates > 1:
        graph.join(memory, new)
    return (new if w_project is None else graph.linear(w_project, mask[w_project], new)), new


def unroll(graph, mask, model, inputs, gates):
    xs = list(inputs)
    for layer in range(model.num_layers):
        outputs = []
        for suffix in ["", "_reverse"][: 1 + model.bidirectional]:
            names = [f"layer.weight_{k}_l{layer}{suffix}" for k in ("ih", "hh")]
            names.append(f"layer.weight_hr_l{layer}{suffix}" if model.proj_size else None)
            states = graph.nodes(model.proj_size or model.hidden_size), graph.nodes(model.hidden_size)
            steps = []
            for x in reversed(xs) if suffix else xs:
                states = step(graph, mask, x, states, names, gates)
                steps.append(states[0])
            outputs.append(steps[::-1] if suffix else steps)
        xs = [np.concatenate(parts) for parts in zip(*outputs, strict=True)]
    return np.array(xs)


STRETCHES = st.sampled_from([[0, 1, 2], [0], [2], [0, 2]])


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(
    layers=st.integers(1, 2), both=st.booleans(), projected=st.booleans(), fed=STRETCHES, read=STRETCHES,
    sparsity=st.floats(0.3, 0.97), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_unrolled(kind, new_graph, draw_mask, layers, both, projected, fed, read, sparsity, seed):
    options = {"proj_size": 2} if projected and kind is nn.LSTM else {}
    model = Reading(kind(2, 3, num_layers=layers, bidirectional=both, batch_first=True, **options), fed, read)
    mask, graph = draw_mask(model, sparsity, seed), new_graph()
    inputs = graph.nodes(STEPS, 2)
    outputs = unroll(graph, mask, model.layer, inputs, KINDS[kind])
    graph.check(collapse(model, mask, torch.ones(1, STEPS, 2)), mask, inputs[fed], outputs[read])


@pytest.mark.parametrize("kind", KINDS)
def test_gated_layers_remember_without_recurrent_weights(kind):
    model = Reading(kind(2, 3, batch_first=True), [0], [2])
    shapes = {n: p.shape for n, p in model.named_parameters() if "weight" in n}
    mask = Mask({n: torch.full(shape, "ih" in n) for n, shape in shapes.items()})
    found = collapse(model, mask, torch.ones(1, STEPS, 2))
    assert found.disconnected == (kind is nn.RNN)
    assert found.effective_kept == (0 if kind is nn.RNN else mask.kept)


def test_steps_come_first_by_default(new_graph, draw_mask):
    model = Reading(nn.GRU(2, 3), [0], [2])
    mask, graph = draw_mask(model, 0.5, 0), new_graph()
    inputs = graph.nodes(STEPS, 2)
    outputs = unroll(graph, mask, model.layer, inputs, 3)
    graph.check(collapse(model, mask, torch.ones(STEPS, 1, 2)), mask, inputs[[0]], outputs[[2]])


class Packed(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.layer = kind(2, 3, batch_first=True)

    def forward(self, x):
        packed = nn.utils.rnn.pack_padded_sequence(x, [x.shape[1]], batch_first=True)
        return nn.utils.rnn.pad_packed_sequence(self.layer(packed)[0], batch_first=True)[0]


CELLS = {nn.RNN: nn.RNNCell, nn.GRU: nn.GRUCell, nn.LSTM: nn.LSTMCell}


class Stepwise(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cell = CELLS[kind](2, 3)

    def forward(self, x):
        state, outputs = None, torch.zeros(1, x.shape[1], 3)
        for t in range(x.shape[1]):
            state = self.cell(x[:, t], state)
            outputs[:, t] = state[0] if isinstance(state, tuple) else state
        return outputs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_packed_sequences_and_cells_agree_with_the_layer(kind, draw_mask, seed):
    layer = kind(2, 3, batch_first=True)
    mask, x = draw_mask(layer, 0.7, seed), torch.ones(1, STEPS, 2)
    expected = collapse(layer, mask, x)
    for model, rename in ((Packed(kind), "layer.{}_l0"), (Stepwise(kind), "cell.{}")):
        names = {name: rename.format(name.removesuffix("_l0")) for name in mask}
        found = collapse(model, Mask({names[n]: keep for n, keep in mask.items()}), x)
        assert [found.effective[names[n]].tolist() for n in mask] == [expected.effective[n].tolist() for n in mask]
        assert list(found.units_without_input.values()) == list(expected.units_without_input.values())
        assert list(found.units_without_output.values()) == list(expected.units_without_output.values())
        assert found.notes == ()


class Readout(nn.Module):
    """A recurrent layer and, per hidden unit, an output that reads it alone."""

    def __init__(self, kind):
        super().__init__()
        self.layer, self.read = kind(4, 5, batch_first=True), nn.Linear(5, 5)

    def forward(self, x):
        return self.read(self.layer(x)[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_units_without_input_are_those_with_a_zero_jacobian(kind, draw_mask, seed):
    model = Readout(kind).double()
    drawn = draw_mask(model, 0.85, seed)
    mask = Mask({**drawn, "read.weight": torch.eye(5, dtype=torch.bool)})
    g = generator(seed, "weights")
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g, dtype=p.dtype))
    mask.apply_(model)
    x = torch.randn(1, 4, 4, generator=g, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(model, x)  # [1, time, unit, 1, time, feature]
    depends = (jacobian != 0).sum((0, 1, 3, 4, 5)) > 0
    found = collapse(model, mask, x)
    assert found.units_without_input["read.weight"] == tuple((~depends).nonzero().flatten().tolist())
