"""Measurements against NumPy, PyTorch's own derivatives, SciPy and closed forms."""

import math
import re

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn
from torch.func import jacrev, vmap

from smallweights import CNN, LSTM, MLP
from smallweights.measure import (
    entropy,
    flips,
    input_gradient,
    norm,
    norms,
    output_change,
    quantized,
    saturation,
    sparsity,
)

F64 = torch.float64
RNG = np.random.default_rng(0)
X = torch.tensor(RNG.normal(0, 2, (7, 5)))
IMAGES = torch.tensor(RNG.uniform(0, 1, (4, 64)))


def perceptron(activation="tanh", sizes=(5, 6, 4, 3), scale=2.0):
    """A perceptron whose weights are large enough to saturate some units."""
    network = MLP(sizes, activation, seed=1, dtype=F64)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter *= scale
    return network


def linear(weight, bias=None):
    """The network x Wᵀ + b."""
    weight = torch.as_tensor(weight, dtype=F64)
    network = MLP((weight.shape[1], weight.shape[0]), bias=bias is not None, dtype=F64)
    with torch.no_grad():
        network.layers[0].weight.copy_(weight)
        if bias is not None:
            network.layers[0].bias.copy_(torch.as_tensor(bias, dtype=F64))
    return network


def with_weights(*values):
    """A network with these weights, and a bias that no measurement may see."""
    return linear([list(values)], [1e6])


SMOOTH = {
    "tanh": (perceptron("tanh"), X),
    "sigmoid": (perceptron("sigmoid"), X),
    "relu": (perceptron("relu"), X),
    "linear": (perceptron(sizes=(5, 3)), X),
    "one output": (perceptron(sizes=(5, 4, 1)), X),
    "cnn": (CNN((2, 3), outputs=3, dtype=F64), IMAGES),
    "lstm": (LSTM(4, outputs=3, dtype=F64), IMAGES),
}
networks = pytest.mark.parametrize(("network", "x"), SMOOTH.values(), ids=SMOOTH)


# Size of the weights.


@networks
def test_norms_are_numpys(network, x):
    found = norms(network)
    weights = {n: p.detach().numpy() for n, p in network.named_parameters() if p.dim() > 1}
    expected = {
        name: [
            np.linalg.norm(w.ravel(), 1),
            np.linalg.norm(w.ravel()),
            np.linalg.norm(w.ravel(), np.inf),
            w.size,
        ]
        for name, w in weights.items()
    }
    frame = pd.DataFrame.from_dict(
        expected, orient="index", columns=["l1", "l2", "largest", "weights"]
    )
    frame["weights"] = frame["weights"].astype(int)
    pd.testing.assert_frame_equal(found, frame.rename_axis("parameter"), rtol=1e-12)


@networks
def test_the_norm_of_all_weights_is_torchs_total_norm(network, x):
    weights = [p.detach() for p in network.parameters() if p.dim() > 1]
    expected = nn.utils.get_total_norm(weights).item()
    assert norm(network) == pytest.approx(expected, rel=1e-12)


@given(st.floats(1e-3, 1e3))
def test_norms_grow_in_proportion_to_the_weights(factor):
    network, scaled = perceptron(scale=1.0), perceptron(scale=factor)
    assert norm(scaled) == pytest.approx(factor * norm(network), rel=1e-9)
    columns = ["l1", "l2", "largest"]
    np.testing.assert_allclose(norms(scaled)[columns], factor * norms(network)[columns])


def test_every_connection_of_an_lstm_is_measured_apart():
    names = ["lstm.input.weight", "lstm.recurrent.weight", "output.weight"]
    assert list(norms(LSTM(3)).index) == names


@pytest.mark.parametrize(
    "measure", [norms, norm, sparsity, entropy, lambda network: quantized(network, 0.1)]
)
def test_a_network_without_weights_is_refused(measure):
    expected = "The network has no weight with two or more dimensions to measure."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        measure(nn.LayerNorm(3))


def test_sparsity_is_the_share_of_exact_zeros():
    assert sparsity(with_weights(0.0, -0.0, 1e-300, 1.0, -2.0)) == 2 / 5
    assert sparsity(with_weights(1.0, 2.0)) == 0
    assert sparsity(with_weights(0.0, 0.0)) == 1


# Sensitivity.


@networks
def test_the_input_gradient_is_the_norm_of_torchs_jacobian(network, x):
    jacobians = vmap(jacrev(lambda row: network(row.unsqueeze(0)).squeeze(0)))(x)
    expected = torch.linalg.matrix_norm(jacobians).mean().item()
    assert input_gradient(network, x) == pytest.approx(expected, rel=1e-12)


@networks
def test_the_input_gradient_is_the_quotient_of_differences(network, x):
    step = 1e-6
    with torch.no_grad():
        columns = [
            (network(x + step * unit) - network(x - step * unit)) / (2 * step)
            for unit in torch.eye(x.shape[1], dtype=F64)
        ]
    expected = torch.stack(columns, -1).square().sum((1, 2)).sqrt().mean().item()
    assert input_gradient(network, x) == pytest.approx(expected, rel=1e-6)


def test_the_input_gradient_of_a_linear_network_is_its_frobenius_norm():
    weight = RNG.normal(size=(3, 5))
    found = input_gradient(linear(weight, [1, 2, 3]), X)
    assert found == pytest.approx(np.linalg.norm(weight, "fro"), rel=1e-12)


def test_the_input_gradient_takes_inputs_of_any_shape():
    network = nn.Sequential(nn.Flatten(), linear([[3.0, 0.0, 4.0, 0.0]]))
    assert input_gradient(network, torch.ones(6, 2, 2, dtype=F64)) == pytest.approx(5)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_measuring_leaves_network_and_inputs_as_they_were(dtype):
    network, x = MLP((5, 4, 3), "tanh", dtype=dtype), X.to(dtype)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    copy = x.clone()
    results = [
        input_gradient(network, x),
        output_change(network, x, 0.1),
        flips(network, x, 0.1),
        saturation(network, x),
    ]
    assert {type(result) for result in results} == {float}
    assert torch.equal(x, copy)
    assert not x.requires_grad
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None


def draws(noise, repeats, x, seed):
    """The nudges: normal noise for each repeat, example and input."""
    return np.random.default_rng(seed).normal(0, noise, (repeats, *x.shape))


@pytest.mark.parametrize(("noise", "repeats", "seed"), [(0.1, 1, 0), (2.0, 3, 1), (0.5, 5, 7)])
def test_the_output_change_of_a_linear_network_is_that_of_its_draws(noise, repeats, seed):
    weight = RNG.normal(size=(3, 5))
    moves = draws(noise, repeats, X, seed) @ weight.T
    expected = math.sqrt((moves**2).sum(-1).mean())
    found = output_change(linear(weight, [1, 2, 3]), X, noise, repeats=repeats, seed=seed)
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_squared_output_change_of_a_linear_network_is_the_noise_times_its_squared_norm():
    weight, noise, repeats = RNG.normal(size=(3, 5)), 0.3, 4000
    found = output_change(linear(weight), X, noise, repeats=repeats) ** 2
    gram = weight @ weight.T
    expected = noise**2 * np.trace(gram)
    deviation = noise**2 * math.sqrt(2 * np.trace(gram @ gram) / (repeats * len(X)))
    assert found == pytest.approx(expected, abs=4 * deviation)


@networks
def test_the_output_change_is_a_loop_over_nudged_examples(network, x):
    nudges = torch.tensor(draws(0.4, 3, x, 5))
    with torch.no_grad():
        moves = [(network(x + nudge) - network(x)).square().sum(1) for nudge in nudges]
    expected = torch.stack(moves).mean().sqrt().item()
    found = output_change(network, x, 0.4, repeats=3, seed=5)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", [name for name in SMOOTH if name != "one output"])
def test_flips_are_counted_in_a_loop_over_nudged_examples(name):
    network, x = SMOOTH[name]
    nudges = torch.tensor(draws(1.0, 20, x, 5))
    with torch.no_grad():
        classes = network(x).argmax(1)
        changed = [network(x + nudge).argmax(1) != classes for nudge in nudges]
    expected = torch.stack(changed).double().mean().item()
    assert flips(network, x, 1.0, repeats=20, seed=5) == expected


def test_two_classes_flip_as_often_as_the_normal_distribution_says():
    x = torch.tensor([[0.5], [-1.0], [2.0]], dtype=F64)  # the class is the sign of x
    found = flips(linear([[1.0], [-1.0]]), x, 0.8, repeats=20_000)
    shares = stats.norm.sf(np.abs(x.numpy().ravel()) / 0.8)
    deviation = math.sqrt((shares * (1 - shares)).sum()) / len(x) / math.sqrt(20_000)
    assert found == pytest.approx(shares.mean(), abs=4 * deviation)


@pytest.mark.parametrize("measure", [output_change, flips])
def test_noise_is_drawn_by_seed(measure):
    network, x = perceptron(), torch.tensor(np.random.default_rng(3).normal(size=(50, 5)))
    first, again, other = (measure(network, x, 1.0, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_five_nudges_with_seed_zero_are_what_is_drawn_unless_told_otherwise():
    network, x = perceptron(), torch.tensor(np.random.default_rng(3).normal(size=(50, 5)))
    for measure in (output_change, flips):
        assert measure(network, x, 1.0) == measure(network, x, 1.0, repeats=5, seed=0)


def test_global_random_numbers_do_not_matter_and_are_left_alone():
    network = perceptron()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = output_change(network, X, 1.0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert output_change(network, X, 1.0) == first


def test_the_noise_has_the_type_of_the_inputs():
    network, x = MLP((5, 3), seed=2), X.float()
    weight = network.layers[0].weight.detach().double().numpy()
    expected = math.sqrt(((draws(0.5, 5, X, 0) @ weight.T) ** 2).sum(-1).mean())
    assert output_change(network, x, 0.5) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("measure", [output_change, flips])
@pytest.mark.parametrize("noise", [0.0, 0, -0.1, math.nan, math.inf])
def test_a_noise_that_is_no_positive_number_is_refused(measure, noise):
    expected = f"noise must be a finite standard deviation > 0; got {noise}."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        measure(perceptron(), X, noise)


@pytest.mark.parametrize("measure", [output_change, flips])
@pytest.mark.parametrize("repeats", [0, -1])
def test_no_repeat_at_all_is_refused(measure, repeats):
    with pytest.raises(ValueError, match=f"^repeats must be at least 1; got {repeats}\\.$"):
        measure(perceptron(), X, 0.1, repeats=repeats)


def test_one_output_has_no_class_to_flip():
    expected = "flips needs class outputs; this network has one. Use output_change."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        flips(perceptron(sizes=(5, 4, 1)), X, 0.1)


def test_two_outputs_have():
    assert 0 <= flips(perceptron(sizes=(5, 4, 2)), X, 0.1) <= 1


BROKEN = {
    "flips": lambda network: flips(network, X, 0.1),
    "saturation": lambda network: saturation(network, X),
    "sparsity": sparsity,
    "entropy": entropy,
    "entropy on a grid": lambda network: entropy(network, bin_width=0.1),
}


@pytest.mark.parametrize("measure", BROKEN.values(), ids=BROKEN)
def test_a_network_that_left_the_finite_numbers_has_no_measure(measure):
    network = perceptron("tanh")
    network.layers[0].weight.data[0, 0] = math.nan
    assert math.isnan(measure(network))


def test_saturation_needs_hidden_units():
    with pytest.raises(ValueError, match=r"^saturation needs hidden units; .*none\.$"):
        saturation(perceptron("tanh", sizes=(5, 3)), X)


ON_INPUTS = {
    "input_gradient": input_gradient,
    "output_change": lambda network, x: output_change(network, x, 0.1),
    "flips": lambda network, x: flips(network, x, 0.1),
    "saturation": saturation,
}


@pytest.mark.parametrize("measure", ON_INPUTS.values(), ids=ON_INPUTS)
@pytest.mark.parametrize(
    ("x", "got"),
    [
        (X[0], "(5,)"),
        (X[:0], "(0, 5)"),
        (torch.tensor(1.0), "()"),
        (X.numpy(), "ndarray"),
        ([[1.0, 2.0]], "list"),
    ],
    ids=["one example", "no example", "a number", "an array", "a list"],
)
def test_inputs_that_are_no_matrix_are_refused(measure, x, got):
    expected = f"x must be a tensor of inputs (n, d) with n >= 1; got {got}."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        measure(perceptron(), x)


@pytest.mark.parametrize("measure", ON_INPUTS.values(), ids=ON_INPUTS)
def test_one_example_can_be_measured(measure):
    assert measure(perceptron(), X[:1]) >= 0


# Saturation.

FUNCTIONS = {"tanh": torch.tanh, "sigmoid": torch.sigmoid}


@pytest.mark.parametrize("slope", [0.01, 0.05, 0.3, 0.9])
@pytest.mark.parametrize("activation", FUNCTIONS)
def test_saturation_is_the_share_of_units_whose_autograd_slope_is_small(activation, slope):
    network, x = perceptron(activation, scale=4.0), X
    inputs, slopes = x, []
    for layer in network.layers[:-1]:
        sums = layer(inputs).detach().requires_grad_()
        inputs = FUNCTIONS[activation](sums)
        slopes.append(torch.autograd.grad(inputs.sum(), sums)[0].flatten())
    steepest = {"tanh": 1, "sigmoid": 1 / 4}[activation]  # where the sum is 0
    expected = (torch.cat(slopes) < slope * steepest).double().mean().item()
    assert saturation(network, x, slope=slope) == expected
    assert 0 < expected < 1


def test_units_count_as_saturated_below_a_twentieth_of_the_slope_unless_told_otherwise():
    network = MLP((1, 1, 1), "tanh", bias=False, dtype=F64)
    with torch.no_grad():
        network.layers[0].weight.fill_(1.0)
    edge = math.atanh(math.sqrt(0.95))  # there 1 − tanh² is 0.05
    x = torch.tensor([[edge - 1e-6], [edge + 1e-6], [-edge - 1e-6], [0.0]], dtype=F64)
    assert saturation(network, x) == 0.5


def test_a_unit_exactly_on_the_edge_is_not_saturated():
    network = MLP((1, 1, 1), "tanh", bias=False, dtype=F64)
    with torch.no_grad():
        network.layers[0].weight.fill_(1.0)
    x = torch.tensor([[0.7]], dtype=F64)
    slope = 1 - torch.tanh(x).square().item()
    assert saturation(network, x, slope=slope) == 0
    assert saturation(network, x, slope=math.nextafter(slope, 1)) == 1


@pytest.mark.parametrize("activation", FUNCTIONS)
def test_large_weights_saturate(activation):
    small, large = (perceptron(activation, scale=scale) for scale in (0.1, 50.0))
    assert saturation(small, X) == 0
    assert saturation(large, X) > 0.8


@pytest.mark.parametrize(
    ("network", "got"),
    [(perceptron("relu"), "relu"), (CNN((2,)), "CNN"), (nn.Linear(5, 3), "Linear")],
    ids=["relu", "cnn", "foreign"],
)
def test_networks_without_flat_ends_are_refused(network, got):
    expected = f"saturation needs an MLP with tanh or sigmoid units; got {got}."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        saturation(network, X)


@pytest.mark.parametrize("slope", [0, 1, -0.1, 1.5, math.nan])
def test_a_slope_that_is_no_share_is_refused(slope):
    expected = f"slope must lie between 0 and 1; got {slope}."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        saturation(perceptron(), X, slope=slope)


# Entropy.


def scipys_entropy(weights, edges):
    counts = np.histogram(weights, edges)[0]
    return stats.entropy(counts, base=2)


@pytest.mark.parametrize("width", [0.1, 0.25, 1.0])
def test_the_entropy_on_a_grid_is_scipys(width):
    weights = RNG.normal(0, 1, 500)
    edges = width * (np.arange(-100, 101) - 0.5)  # cells around the multiples of the width
    found = entropy(with_weights(*weights), bin_width=width)
    assert found == pytest.approx(scipys_entropy(weights, edges), rel=1e-12)


@pytest.mark.parametrize("bins", [1, 10, 64])
def test_the_entropy_over_the_weights_own_range_is_scipys(bins):
    weights = RNG.normal(0, 1, 500)
    edges = np.linspace(weights.min(), weights.max(), bins + 1)
    found = entropy(with_weights(*weights), bins=bins)
    assert found == pytest.approx(scipys_entropy(weights, edges), rel=1e-9)


def test_the_range_is_cut_into_64_bins_unless_told_otherwise():
    network = with_weights(*RNG.normal(0, 1, 500))
    assert entropy(network) == entropy(network, bins=64) != entropy(network, bins=63)


@pytest.mark.parametrize("k", [0, 1, 3, 6])
def test_weights_spread_evenly_over_two_to_the_k_cells_have_k_bits(k):
    weights = np.repeat(np.arange(2.0**k), 3)
    assert entropy(with_weights(*weights), bin_width=1.0) == pytest.approx(k, abs=1e-12)
    if k:
        assert entropy(with_weights(*weights), bins=2**k) == pytest.approx(k, abs=1e-12)


def test_zero_lies_in_the_middle_of_a_cell():
    near = with_weights(-0.49, 0.0, 0.49)
    assert entropy(near, bin_width=1.0) == 0
    assert entropy(with_weights(-0.51, 0.0, 0.49), bin_width=1.0) > 0.9


def test_no_uncertainty_is_zero_bits_without_a_sign():
    assert math.copysign(1, entropy(with_weights(0.3, 0.3), bin_width=1.0)) == 1


POWERS = st.integers(-20, 20).map(lambda k: 2.0**k)  # scaling by these rounds nothing


@given(POWERS)
def test_entropy_over_the_weights_own_range_does_not_see_their_scale(factor):
    weights = np.random.default_rng(5).normal(0, 1, 200)
    assert entropy(with_weights(*weights)) == entropy(with_weights(*(factor * weights)))


@given(POWERS, st.floats(0.01, 10))
def test_entropy_on_a_grid_sees_only_the_ratio_of_weights_and_cells(factor, width):
    weights = np.random.default_rng(6).normal(0, 1, 200)
    found = entropy(with_weights(*weights), bin_width=width)
    assert entropy(with_weights(*(factor * weights)), bin_width=factor * width) == found


def test_small_weights_have_fewer_bits_on_a_grid():
    weights = np.random.default_rng(7).normal(0, 1, 500)
    bits = [entropy(with_weights(*(s * weights)), bin_width=0.1) for s in (1, 0.5, 0.1, 0.01)]
    assert bits == sorted(bits, reverse=True)
    assert bits[-1] == 0


@pytest.mark.parametrize("width", [0.0, -1.0, math.nan, math.inf])
def test_a_bin_width_that_is_no_positive_number_is_refused(width):
    expected = f"bin_width must be a finite number > 0; got {width}."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        entropy(perceptron(), bin_width=width)


@pytest.mark.parametrize("bins", [0, -3, 2.5])
def test_a_number_of_bins_that_is_no_count_is_refused(bins):
    with pytest.raises((ValueError, TypeError), match="bins"):
        entropy(perceptron(), bins=bins)


# Quantization.


def weights_of(network):
    return torch.cat([w.flatten() for w in network.parameters() if w.dim() > 1]).detach()


STEPS = st.floats(0.01, 3)


@pytest.mark.parametrize("step", [0.01, 0.1, 0.7, 3.0])
def test_quantized_weights_are_pytorchs_fake_quantized(step):
    network = perceptron()
    levels = torch.tensor(0), -(2**31), 2**31 - 1
    expected = torch.fake_quantize_per_tensor_affine(
        weights_of(network).float(), torch.tensor(step), *levels
    )
    found = weights_of(quantized(network, step))
    torch.testing.assert_close(found.float(), expected)


@given(STEPS)
def test_no_weight_moves_by_more_than_half_a_step(step):
    network = perceptron()
    moved = (weights_of(quantized(network, step)) - weights_of(network)).abs()
    assert moved.max() <= step / 2 * (1 + 1e-9)


@given(STEPS)
def test_the_entropy_on_a_grid_is_that_of_the_quantized_weights(step):
    network = perceptron()
    multiples = (weights_of(quantized(network, step)) / step).round()
    _, counts = np.unique(multiples, return_counts=True)
    assert entropy(network, bin_width=step) == pytest.approx(stats.entropy(counts, base=2))


def test_quantizing_leaves_the_biases_and_the_network_itself_as_they_are():
    network, before = perceptron(), perceptron()
    rounded = dict(quantized(network, 1.0).named_parameters())
    for (name, parameter), original in zip(
        network.named_parameters(), before.parameters(), strict=True
    ):
        assert torch.equal(parameter, original)
        assert torch.equal(rounded[name], parameter) == (parameter.dim() == 1)


def test_halves_are_rounded_up():
    network = with_weights(-1.5, -0.5, 0.5, 1.5)
    assert weights_of(quantized(network, 1.0)).tolist() == [-1, 0, 1, 2]


@pytest.mark.parametrize("step", [0.0, -1.0, math.nan, math.inf])
def test_a_step_that_is_no_positive_number_is_refused(step):
    expected = f"step must be a finite number > 0; got {step}."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        quantized(perceptron(), step)
