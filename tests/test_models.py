"""The networks against PyTorch's own modules with the same weights, alone and stacked."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from smallweights import CNN, LSTM, MLP
from smallweights.models import ACTIVATIONS, convolve

F64 = torch.float64
EXACT = {"rtol": 1e-12, "atol": 1e-13}
MODULES = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
NETWORKS = {
    "mlp": lambda seed: MLP((64, 7, 5, 3), seed=seed, dtype=F64),
    "tanh": lambda seed: MLP((64, 7, 3), "tanh", seed=seed, dtype=F64),
    "no biases": lambda seed: MLP((64, 7, 3), bias=False, seed=seed, dtype=F64),
    "linear": lambda seed: MLP((64, 3), seed=seed, dtype=F64),
    "cnn": lambda seed: CNN((2, 3, 4), 3, seed=seed, dtype=F64),
    "lstm": lambda seed: LSTM(5, 3, seed=seed, dtype=F64),
}


def images(*shape):
    return torch.rand(*shape, 64, generator=torch.Generator().manual_seed(7), dtype=F64) - 0.3


def gradients(network, outputs):
    return torch.autograd.grad(outputs.square().sum(), list(network.parameters()))


def assert_same_function(ours, theirs, weights):
    """Both answer the same, and their gradients agree; ``weights`` maps theirs to ours by place."""
    x = images(9)
    outputs, expected = ours(x), theirs(x)
    torch.testing.assert_close(outputs, expected, **EXACT)
    for mine, other in zip(
        gradients(ours, outputs), weights(gradients(theirs, expected)), strict=True
    ):
        torch.testing.assert_close(mine, other, **EXACT)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [(64, 3), (64, 5, 3), (64, 6, 5, 4, 3)], ids=str)
def test_mlp_is_the_sequential_module(sizes, activation):
    ours = MLP(sizes, activation, seed=1, dtype=F64)
    layers = [nn.Linear(a, b, dtype=F64) for a, b in pairwise(sizes)]
    acts = [MODULES[activation]() for _ in layers[1:]]
    theirs = nn.Sequential(
        *[m for pair in zip(layers, [*acts, None], strict=True) for m in pair if m]
    )
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        other.data.copy_(mine.data)
    assert_same_function(ours, theirs, list)


def test_mlp_shows_its_hidden_activations():
    network = MLP((64, 6, 5, 3), "tanh", seed=1, dtype=F64)
    first, second = network.hidden(images(9))
    torch.testing.assert_close(second, torch.tanh(network.layers[1](first)), **EXACT)
    torch.testing.assert_close(network(images(9)), network.layers[2](second), **EXACT)


@pytest.mark.parametrize("channels", [(4,), (2, 3), (2, 3, 4, 5)], ids=str)
def test_cnn_is_the_sequential_module(channels):
    ours = CNN(channels, 3, seed=1, dtype=F64)
    blocks = [nn.Unflatten(1, (1, 8, 8))]
    for i, (fan_in, fan_out) in enumerate(pairwise((1, *channels))):
        blocks += [nn.Conv2d(fan_in, fan_out, 3, 1 if i == 0 else 2, 1, dtype=F64), nn.ReLU()]
    features = ours.output.in_features
    theirs = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(features, 3, dtype=F64))
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        other.data.copy_(mine.data)
    assert_same_function(ours, theirs, list)


class TorchLSTM(nn.Module):
    def __init__(self, hidden, outputs):
        super().__init__()
        self.lstm = nn.LSTM(8, hidden, batch_first=True, dtype=F64)
        self.output = nn.Linear(hidden, outputs, dtype=F64)

    def forward(self, x):
        states, _ = self.lstm(x.view(-1, 8, 8))
        return self.output(states[:, -1])


def in_our_order(tensors):
    """nn.LSTM holds both weights before both biases; here each map keeps its own two together."""
    w_in, w_rec, b_in, b_rec, *rest = tensors
    return [w_in, b_in, w_rec, b_rec, *rest]


def test_lstm_is_pytorchs_lstm():
    ours, theirs = LSTM(6, 3, seed=1, dtype=F64), TorchLSTM(6, 3)
    for mine, other in zip(ours.parameters(), in_our_order(theirs.parameters()), strict=True):
        other.data.copy_(mine.data)
    assert_same_function(ours, theirs, in_our_order)


def test_lstm_names_input_and_recurrent_weights_apart():
    assert [name for name, _ in LSTM().named_parameters()] == [
        "lstm.input.weight",
        "lstm.input.bias",
        "lstm.recurrent.weight",
        "lstm.recurrent.bias",
        "output.weight",
        "output.bias",
    ]


@pytest.mark.parametrize("groups", [None, 1, 2, 4], ids="{} data sets".format)
@pytest.mark.parametrize("kind", NETWORKS)
def test_stacked_networks_are_the_single_networks(kind, groups):
    networks = [NETWORKS[kind](seed) for seed in range(4)]
    named = [dict(network.named_parameters()) for network in networks]
    stacked = {
        name: torch.stack([each[name].detach() for each in named]).requires_grad_()
        for name in named[0]
    }
    x = images(9) if groups is None else images(groups, 9)
    outputs = functional_call(networks[0], stacked, (x,))
    together = torch.autograd.grad(outputs.square().sum(), list(stacked.values()))
    for k, network in enumerate(networks):
        alone = network(x if groups is None else x[k * groups // 4])
        torch.testing.assert_close(outputs[k], alone, **EXACT)
        for mine, other in zip(together, gradients(network, alone), strict=True):
            torch.testing.assert_close(mine[k], other, **EXACT)


@pytest.mark.parametrize("kind", NETWORKS)
def test_seed_alone_decides_the_weights(kind):
    torch.manual_seed(1)
    first = NETWORKS[kind](3)
    torch.manual_seed(2)
    again, other = NETWORKS[kind](3), NETWORKS[kind](4)
    for a, b, c in zip(first.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


@pytest.mark.parametrize("kind", NETWORKS)
def test_initial_weights_fill_the_range_of_one_over_root_fan_in(kind):
    network = NETWORKS[kind](0)
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d) and module.weight.numel() > 20:
            bound = module.weight[0].numel() ** -0.5
            assert 0.8 * bound < module.weight.abs().max() <= bound


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLP((64,)), r"sizes must be .* each >= 1; got \(64,\)"),
        (lambda: MLP((64, 0, 10)), r"sizes must be .* each >= 1; got \(64, 0, 10\)"),
        (lambda: MLP((64, 10), "selu"), r"activation must be one of .*; got 'selu'"),
        (lambda: CNN(()), r"channels must be one to four .*; got \(\)"),
        (lambda: CNN((4, 4, 4, 4, 4)), r"channels must be one to four .*; got \(4, 4, 4, 4, 4\)"),
        (lambda: CNN((4, 0)), r"channels must be one to four .*; got \(4, 0\)"),
        (lambda: CNN((4,), 0), r"outputs a number >= 1; got \(4,\) and 0"),
        (lambda: LSTM(0), r"hidden and outputs must be >= 1; got 0 and 10"),
        (lambda: LSTM(4, -1), r"hidden and outputs must be >= 1; got 4 and -1"),
    ],
)
def test_bad_size_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("network", [CNN(), LSTM()], ids=["cnn", "lstm"])
def test_images_of_another_size_are_refused(network):
    with pytest.raises(ValueError, match=r"rows of 64 pixels; got \(5, 63\)"):
        network(torch.zeros(5, 63))


def test_stacked_convolution_is_pytorchs_own():
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 6, 3, 7, 5, generator=generator, dtype=F64).requires_grad_()
    weight = torch.randn(4, 2, 3, 3, 3, generator=generator, dtype=F64)
    bias = torch.randn(4, 2, generator=generator, dtype=F64)
    outputs = convolve(x, weight, bias, 2, 1)
    alone = [functional.conv2d(x[k // 2], weight[k], bias[k], 2, 1) for k in range(4)]
    torch.testing.assert_close(outputs, torch.stack(alone), **EXACT)
    (mine,) = torch.autograd.grad(outputs.square().sum(), x, retain_graph=True)
    (theirs,) = torch.autograd.grad(torch.stack(alone).square().sum(), x)
    torch.testing.assert_close(mine, theirs, **EXACT)
