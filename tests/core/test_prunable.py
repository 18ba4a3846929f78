import pytest
import torch
from torch import nn

from thresher.core import prunable
from thresher.core.errors import ArgumentError, NothingToPruneError, UnknownNameError
from thresher.core.prunable import device_of, resolve_protected

# layer → (weights, biases), written down from the layers' documentation
LAYERS = {
    "linear": (nn.Linear(3, 2), "weight", "bias"),
    "bilinear": (nn.Bilinear(2, 3, 2), "weight", "bias"),
    "conv1d": (nn.Conv1d(2, 2, 3), "weight", "bias"),
    "conv2d": (nn.Conv2d(2, 2, 3, bias=False), "weight", ""),
    "conv3d": (nn.Conv3d(2, 2, 3), "weight", "bias"),
    "conv_transpose1d": (nn.ConvTranspose1d(2, 2, 3), "weight", "bias"),
    "conv_transpose2d": (nn.ConvTranspose2d(2, 2, 3), "weight", "bias"),
    "conv_transpose3d": (nn.ConvTranspose3d(2, 2, 3), "weight", "bias"),
    "rnn": (nn.RNN(2, 3), "weight_ih_l0 weight_hh_l0", "bias_ih_l0 bias_hh_l0"),
    "gru": (nn.GRU(2, 3, bias=False), "weight_ih_l0 weight_hh_l0", ""),
    "lstm, both ways": (
        nn.LSTM(2, 3, bidirectional=True, bias=False),
        "weight_ih_l0 weight_hh_l0 weight_ih_l0_reverse weight_hh_l0_reverse",
        "",
    ),
    "lstm, projected": (
        nn.LSTM(2, 3, proj_size=2),
        "weight_ih_l0 weight_hh_l0 weight_hr_l0",
        "bias_ih_l0 bias_hh_l0",
    ),
    "rnn cell": (nn.RNNCell(2, 3), "weight_ih weight_hh", "bias_ih bias_hh"),
    "gru cell": (nn.GRUCell(2, 3), "weight_ih weight_hh", "bias_ih bias_hh"),
    "lstm cell": (nn.LSTMCell(2, 3), "weight_ih weight_hh", "bias_ih bias_hh"),
    "attention": (nn.MultiheadAttention(4, 2), "in_proj_weight out_proj.weight", "in_proj_bias out_proj.bias"),
    "attention with other keys and values": (
        nn.MultiheadAttention(4, 2, kdim=3, vdim=5, add_bias_kv=True),
        "q_proj_weight k_proj_weight v_proj_weight out_proj.weight",
        "in_proj_bias bias_k bias_v out_proj.bias",
    ),
    "transformer layer": (
        nn.TransformerEncoderLayer(4, 2, 6),
        "self_attn.in_proj_weight self_attn.out_proj.weight linear1.weight linear2.weight",
        "self_attn.in_proj_bias self_attn.out_proj.bias linear1.bias linear2.bias",
    ),
}


class Language(nn.Module):
    """An embedding, norms of each kind, and an output layer that may share the table."""

    def __init__(self, tied=False):
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.bag = nn.EmbeddingBag(5, 4)
        self.hidden = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.batch_norm = nn.BatchNorm1d(4)
        self.instance_norm = nn.InstanceNorm1d(4, affine=True)
        self.group_norm = nn.GroupNorm(2, 4)
        self.rms_norm = nn.RMSNorm(4)
        self.scale = nn.Parameter(torch.ones(4))
        self.out = nn.Linear(4, 5)
        if tied:
            self.out.weight = self.table.weight


NORMS = ["norm", "batch_norm", "instance_norm", "group_norm", "rms_norm"]


@pytest.mark.parametrize("name", LAYERS)
def test_each_layers_weights_and_with_a_flag_its_biases(name):
    layer, weights, biases = LAYERS[name]
    own = dict(layer.named_parameters())
    found = prunable(layer)
    assert sorted(found) == sorted(weights.split())
    assert all(found[n] is own[n] for n in found)
    assert set(prunable(layer, biases=True)) == {*weights.split(), *biases.split()}


def test_the_order_is_the_models():
    net = nn.Sequential(nn.LSTM(2, 3), nn.Linear(3, 2), nn.TransformerEncoderLayer(4, 2, 6))
    order = list(dict(net.named_parameters()))
    found = list(prunable(net, biases=True, norms=True))
    assert found == [name for name in order if name in found]


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("norms", [False, True])
@pytest.mark.parametrize("embeddings", [False, True])
def test_norms_and_embeddings_come_by_flag_and_loose_parameters_never(biases, norms, embeddings):
    expected = {"hidden.weight", "out.weight"}
    if biases:
        expected |= {"hidden.bias", "out.bias"}
    if embeddings:
        expected |= {"table.weight", "bag.weight"}
    if norms:
        expected |= {f"{norm}.weight" for norm in NORMS}
    if norms and biases:
        expected |= {f"{norm}.bias" for norm in NORMS if norm != "rms_norm"}
    assert set(prunable(Language(), biases=biases, norms=norms, embeddings=embeddings)) == expected


def test_a_table_that_is_also_the_output_layer_is_an_embedding():
    assert list(prunable(Language(tied=True))) == ["hidden.weight"]
    assert list(prunable(Language(tied=True), embeddings=True)) == ["table.weight", "bag.weight", "hidden.weight"]


def test_a_shared_tensor_appears_once_under_its_first_name():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    net[2].weight = net[0].weight
    net.append(net[1])
    assert list(prunable(net)) == ["0.weight", "1.weight"]


def test_frozen_parameters_are_left_out():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[0].weight.requires_grad_(False)
    assert list(prunable(net)) == ["1.weight"]
    assert list(prunable(net, only=["*.weight"])) == ["1.weight"]


def test_only_takes_patterns_over_every_trainable_parameter_in_the_models_order():
    assert list(prunable(Language(), only=["out.*", "scale", "norm.b*"])) == [
        "scale",
        "norm.bias",
        "out.weight",
        "out.bias",
    ]


def test_a_pattern_that_matches_nothing_gets_the_near_miss():
    with pytest.raises(UnknownNameError, match=r"unknown parameter 'hiden\.weight': did you mean 'hidden\.weight'"):
        prunable(Language(), only=["out.*", "hiden.weight"])


@pytest.mark.parametrize(
    "net", [nn.ReLU(), nn.Sequential(nn.Embedding(3, 2), nn.LayerNorm(2)), nn.Linear(2, 2).requires_grad_(False)]
)
def test_nothing_to_prune_is_an_error_that_lists_what_there_is(net):
    trainable = ", ".join(n for n, p in net.named_parameters() if p.requires_grad) or "none"
    with pytest.raises(NothingToPruneError, match=rf"{type(net).__name__} has nothing to prune.*\({trainable}\)"):
        prunable(net)


def test_no_pattern_at_all_leaves_nothing_to_prune():
    with pytest.raises(NothingToPruneError, match="nothing to prune"):
        prunable(nn.Linear(2, 2), only=[])


@pytest.mark.parametrize("only", [None, ["*"]])
def test_a_lazy_layer_must_see_a_batch_first(only):
    net = nn.Sequential(nn.LazyLinear(2))
    with pytest.raises(ArgumentError, match=r"0\.weight has no shape yet: run one batch"):
        prunable(net, only=only)
    net(torch.ones(1, 3))
    assert prunable(net)["0.weight"].shape == (2, 3)


def test_protect_means_first_last_names_and_patterns():
    names = ["a.weight", "b.weight", "c.weight", "d.weight"]
    assert resolve_protected(names, []) == set()
    assert resolve_protected(names, ["first"]) == {"a.weight"}
    assert resolve_protected(names, ["last", "first"]) == {"a.weight", "d.weight"}
    assert resolve_protected(names, ["b.weight", "[cd].*"]) == {"b.weight", "c.weight", "d.weight"}


def test_protecting_what_is_not_there_or_everything_is_an_error():
    with pytest.raises(UnknownNameError, match=r"unknown parameter to protect 'a\.wieght': did you mean 'a\.weight'"):
        resolve_protected(["a.weight", "b.weight"], ["a.wieght"])
    with pytest.raises(ArgumentError, match=r"covers every prunable parameter \(a, b\)"):
        resolve_protected(["a", "b"], ["first", "last"])


def test_the_device_is_the_one_all_tensors_lie_on():
    assert device_of({"a": torch.ones(1), "b": torch.ones(1)}) == torch.device("cpu")
    with pytest.raises(ArgumentError, match=r"\['cpu', 'meta'\]: move the model to one device"):
        device_of({"a": torch.ones(1), "b": torch.ones(1, device="meta")})
