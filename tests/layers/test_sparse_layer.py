"""What a sparse layer keeps, saves and loads: dense keys, its topology beside them, nothing it should not follow."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from thresher.core.errors import ArgumentError, FileFormatError
from thresher.layers import SparseConv2d, SparseLayer, SparseLinear
from thresher.ops import Topology

KEEP = torch.tensor([[True, False, True, False], [False, False, True, True], [False, False, False, False]])


class Two(SparseLayer):
    """A layer with two sparse weights and a dense one, as recurrent layers have."""

    def __init__(self, first, first_keep, second, second_keep):
        super().__init__()
        self.add_sparse_weight("first", first, first_keep)
        self.scale = nn.Parameter(torch.ones(2))
        self.add_sparse_weight("second", second, second_keep)

    @classmethod
    def supports(cls, module):
        return True

    @classmethod
    def from_dense(cls, module, keep):
        return cls(module.first, keep["first"], module.second, keep["second"])

    def to_dense(self):
        raise NotImplementedError


def linear(keep=KEEP):
    return SparseLinear.from_dense(nn.Linear(4, 3), keep)


def other():
    """As many kept weights, elsewhere."""
    return linear(KEEP.flip(1))


def through_a_file(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def test_the_state_has_the_dense_keys_shapes_and_order():
    layer, dense = linear(), nn.Linear(4, 3)
    state = layer.state_dict()
    assert [(key, value.shape) for key, value in state.items()] == [(k, v.shape) for k, v in dense.state_dict().items()]
    assert torch.equal(state["weight"] != 0, KEEP)
    assert state["weight"][KEEP].tolist() == layer.weight.tolist()
    assert not any(value.requires_grad for value in state.values())


def test_the_state_with_variables_is_differentiable_as_torch_has_it():
    layer = linear()
    layer.state_dict(keep_vars=True)["weight"].sum().backward()
    assert layer.weight.grad.tolist() == [1.0] * 4


def test_sparse_and_dense_checkpoints_interchange_strictly():
    layer, dense = linear(), nn.Linear(4, 3)
    dense.load_state_dict(layer.state_dict())
    x = torch.randn(5, 4)
    torch.testing.assert_close(dense(x), layer(x))
    with torch.no_grad():
        dense.weight *= 2
    layer.load_state_dict(dense.state_dict())
    torch.testing.assert_close(dense(x), layer(x))
    assert torch.equal(layer.keep_of("weight"), KEEP)


def test_a_file_restores_topology_and_values_into_the_same_parameter():
    saved, layer = linear(), other()
    with torch.no_grad():
        saved.weight[1] = 0  # kept, though it is zero
    parameter = layer.weight
    layer.load_state_dict(through_a_file(saved.state_dict()))
    assert layer.weight is parameter
    assert torch.equal(layer.keep_of("weight"), KEEP)
    assert torch.equal(layer.weight, saved.weight)
    for mine, theirs in zip(layer.topology_of("weight"), saved.topology_of("weight"), strict=True):
        assert torch.equal(mine, theirs)
    assert layer.state_dict()._metadata[""]["topology"]["weight"].tolist() == [0, 2, 6, 7]


def test_a_topology_of_another_size_is_adopted_too_and_the_layer_trains():
    saved, layer = linear(), linear(torch.ones(3, 4, dtype=torch.bool))
    layer(torch.randn(2, 4)).sum().backward()
    parameter = layer.weight
    layer.load_state_dict(through_a_file(saved.state_dict()))
    assert layer.weight is parameter
    assert parameter.grad is None
    x = torch.randn(5, 4)
    assert torch.equal(layer(x), saved(x))
    layer(x).sum().backward()
    saved(x).sum().backward()
    assert torch.equal(parameter.grad, saved.weight.grad)
    assert torch.equal(layer.keep_of("weight"), KEEP)


def test_nested_layers_and_wrapped_keys_carry_their_topologies():
    saved = nn.ModuleDict({"a": nn.Sequential(linear()), "b": other()})
    layer = nn.ModuleDict({"a": nn.Sequential(other()), "b": linear()})
    layer.load_state_dict(through_a_file(saved.state_dict()))
    assert torch.equal(layer["a"][0].keep_of("weight"), KEEP)
    assert torch.equal(layer["b"].keep_of("weight"), KEEP.flip(1))


def test_a_state_that_lost_its_metadata_is_read_at_the_layers_own_places():
    saved, layer = linear(), linear()
    layer.load_state_dict(dict(through_a_file(saved.state_dict())))
    assert torch.equal(layer.weight, saved.weight)


def test_what_a_dense_checkpoint_has_elsewhere_is_counted_for_every_layer():
    layer, dense = nn.Sequential(linear(), linear().to_dense()), nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 3))
    before = layer[0].weight.tolist()
    with pytest.raises(RuntimeError, match=r"0\.weight: 8 weights of the checkpoint are not zero where .* has none"):
        layer.load_state_dict(dense.state_dict())
    assert layer[0].weight.tolist() == before
    state = dense.state_dict()
    state["0.weight"] = state["0.weight"] * KEEP
    state["0.weight"][2, 0] = float("nan")
    with pytest.raises(RuntimeError, match=r"0\.weight: 1 weights of the checkpoint"):
        layer.load_state_dict(state)


def test_missing_and_unexpected_keys_and_other_shapes_are_listed_as_torch_does():
    layer = linear()
    state = nn.Linear(4, 3).state_dict()
    del state["weight"]
    state["extra"] = torch.zeros(1)
    with pytest.raises(RuntimeError, match=r'(?s)Missing key.*"weight".*Unexpected key.*"extra"'):
        layer.load_state_dict(state)
    found = layer.load_state_dict(state, strict=False)
    assert (found.missing_keys, found.unexpected_keys) == (["weight"], ["extra"])
    wrong = nn.Linear(3, 4).state_dict()
    with pytest.raises(RuntimeError) as mine:
        layer.load_state_dict(wrong)
    with pytest.raises(RuntimeError) as theirs:
        nn.Linear(4, 3).load_state_dict(wrong)
    assert str(mine.value).replace("SparseLinear", "Linear") == str(theirs.value)
    with pytest.raises(RuntimeError, match=r"expected torch\.Tensor or Tensor-like"):
        layer.load_state_dict({"weight": 3, "bias": torch.zeros(3)})


def test_assigning_takes_the_dtype_of_the_checkpoint_as_torch_does():
    saved, layer = linear().double(), other()
    layer.load_state_dict(saved.state_dict(), assign=True)
    assert layer.weight.dtype == torch.float64
    assert isinstance(layer.weight, nn.Parameter)
    assert torch.equal(layer.weight, saved.weight)
    assert torch.equal(layer.keep_of("weight"), KEEP)


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (torch.tensor([0, 2, 6, 12]), r"corrupted: .*in \[0, 12\): got 12"),
        (torch.tensor([-1, 2, 6, 7]), r"corrupted: .*got -1"),
        (torch.tensor([0, 6, 2, 7]), "corrupted: .*out of order"),
        (torch.tensor([0, 2, 2, 7]), "corrupted: .*twice"),
        (torch.tensor([0, 2, 6, 7], dtype=torch.int32), "corrupted: .*int64"),
        (torch.tensor([0.0, 2.0, 6.0, 7.0]), "corrupted: .*int64"),
        (torch.tensor([[0, 2, 6, 7]]), "corrupted: .*int64"),
        (torch.tensor([0, 2, 6]), "1 nonzero weights in 0.weight outside its own topology"),
        (None, "no positions of its weights"),
        ([0, 2, 6, 7], "no positions of its weights"),
    ],
    ids=str,
)
def test_a_corrupted_topology_is_an_error_that_names_the_layer_and_changes_nothing(positions, message):
    saved, layer = nn.Sequential(linear()), nn.Sequential(linear())
    before = copy.deepcopy(layer[0].state_dict())
    state = saved.state_dict()
    state._metadata["0"]["topology"]["weight"] = positions
    with pytest.raises(FileFormatError, match=message) as caught:
        layer.load_state_dict(through_a_file(state))
    assert "0.weight" in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in layer[0].state_dict().items())
    assert torch.equal(layer[0].keep_of("weight"), KEEP)


@pytest.mark.parametrize("topologies", [None, {}, "weight", torch.zeros(3)], ids=repr)
def test_a_topology_that_is_not_there_in_full_is_an_error(topologies):
    state = linear().state_dict()
    state._metadata[""]["topology"] = topologies
    with pytest.raises(FileFormatError, match="no positions of its weights"):
        linear().load_state_dict(state)


def test_copies_pickles_and_whole_saved_layers_compute_the_same_and_share_nothing():
    layer = SparseConv2d.from_dense(nn.Conv2d(3, 4, 3), torch.rand(4, 3, 3, 3) < 0.3)
    x = torch.randn(2, 3, 5, 5)
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), torch.load(buffer, weights_only=False)):
        assert torch.equal(twin(x), layer(x))
        with torch.no_grad():
            twin.weight.zero_()
            twin.topology_of("weight").columns.zero_()
        assert layer.weight.count_nonzero() == layer.weight.numel()
        assert layer.topology_of("weight").columns.count_nonzero() > 0


def test_dtype_conversions_leave_indices_alone():
    layer = linear().double()
    assert layer.weight.dtype == torch.float64
    assert {indices.dtype for indices in layer.topology_of("weight")} == {torch.int32}
    assert torch.equal(layer.float().keep_of("weight"), KEEP)


def test_several_sparse_weights_in_one_layer_keep_apart():
    first, second = torch.randn(2, 3), torch.randn(4, 2, 2)
    masks = [torch.rand(t.shape, generator=torch.Generator().manual_seed(0)) < 0.5 for t in (first, second)]
    layer = Two(first, masks[0], second, masks[1])
    assert layer.sparse_weights == ("first", "second")
    assert [name for name, _ in layer.named_parameters()] == ["first", "scale", "second"]
    assert (
        layer.kept_repr()
        == f"kept={sum(int(m.sum()) for m in masks)}, sparsity={1 - int(sum(m.sum() for m in masks)) / 22:.4g}"
    )
    flipped = Two(first.flip(0), masks[0].flip(0), second, ~masks[1])
    flipped.load_state_dict(through_a_file(layer.state_dict()))
    state = flipped.state_dict()
    assert list(state) == ["first", "scale", "second"]
    assert torch.equal(state["first"], first * masks[0])
    assert torch.equal(state["second"], second * masks[1])
    assert torch.equal(flipped.keep_of("second"), masks[1])
    state._metadata[""]["topology"].pop("second")
    with pytest.raises(FileFormatError, match="second is sparse, but holds no positions"):
        flipped.load_state_dict(state)


def test_dense_and_gathered_are_each_others_inverse_on_kept_places():
    layer = linear()
    values = torch.arange(1.0, 5.0)
    assert layer.dense("weight", values).tolist() == [[1, 0, 2, 0], [0, 0, 3, 4], [0, 0, 0, 0]]
    assert torch.equal(layer.gathered("weight", layer.dense("weight", values)), values)
    assert torch.equal(layer.gathered("weight", torch.arange(12).view(3, 4)), torch.tensor([0, 2, 6, 7]))


def test_a_topology_set_by_hand_is_seen_by_who_holds_the_buffers():
    layer, new = linear(), Topology.of(KEEP.flip(1))
    held = layer.topology_of("weight").columns
    layer.set_topology("weight", new)
    assert torch.equal(held, new.columns)


def test_an_abstract_layer_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        SparseLayer()


def test_a_weight_is_added_only_with_a_mask_of_its_shape():
    with pytest.raises(ArgumentError, match=r"keep of first .*\[2, 3\]"):
        Two(torch.zeros(2, 3), torch.ones(6, dtype=torch.bool), torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool))
