"""Which weights a penalty reaches: names, patterns, biases, centers."""

import re

import pytest
import torch
from torch import nn

from smallweights import L1, L2, MLP, Penalize
from smallweights.select import as_penalize, parameters_of, total

W0, B0, W1, B1 = "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"


@pytest.fixture
def network():
    return MLP((3, 4, 2))


def test_biases_are_left_out_by_default(network):
    assert Penalize({"*": L2(1)}).assign(network) == {W0: L2(1), W1: L2(1)}


def test_biases_are_penalized_when_asked_for(network):
    assert list(Penalize({"*": L2(1)}, biases=True).assign(network)) == [W0, B0, W1, B1]
    assert Penalize({"*.bias": L1(1)}, biases=True).assign(network) == {B0: L1(1), B1: L1(1)}


def test_every_parameter_of_fewer_than_two_dimensions_counts_as_a_bias():
    scaled = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    assert list(Penalize({"*": L2(1)}).assign(scaled)) == ["0.weight"]


def test_the_last_match_wins(network):
    assert Penalize({"*": L2(1), W1: L1(2)}).assign(network) == {W0: L2(1), W1: L1(2)}
    assert Penalize({W1: L1(2), "*": L2(1)}).assign(network) == {W0: L2(1), W1: L2(1)}


def test_parameters_that_no_pattern_matches_are_free(network):
    assert Penalize({"layers.[1-9].*": L2(1)}).assign(network) == {W1: L2(1)}


def test_connections_of_one_layer_are_told_apart_by_name():
    lstm = nn.LSTM(2, 3)
    rules = Penalize({"weight_ih*": L2(1), "weight_hh*": L1(2)})
    assert rules.assign(lstm) == {"weight_ih_l0": L2(1), "weight_hh_l0": L1(2)}


def test_the_value_is_the_sum_over_the_penalized_weights(network):
    value = Penalize({"*": L2(0.5), W1: L1(0.25)}).value(network)
    first, second = network.layers
    expected = 0.5 * (first.weight**2).sum() + 0.25 * second.weight.abs().sum()
    torch.testing.assert_close(value, expected)


def test_gradients_flow_through_the_value_to_the_penalized_weights_only(network):
    Penalize({W0: L2(0.5)}).value(network).backward()
    torch.testing.assert_close(network.layers[0].weight.grad, network.layers[0].weight.detach())
    assert all(p.grad is None for name, p in network.named_parameters() if name != W0)


def test_no_rules_are_no_penalty(network):
    nothing = Penalize({}).value(network)
    assert isinstance(nothing, torch.Tensor)
    assert nothing == 0
    assert total({}, parameters_of(network)).dtype == torch.float32


def test_weights_by_name_do_for_a_network(network):
    weights = {name: p.detach() for name, p in network.named_parameters()}
    rules = Penalize({"*": L2(1)})
    assert rules.assign(weights) == rules.assign(network)
    assert rules.value(weights) == rules.value(network)


@pytest.mark.parametrize("by_name", [False, True])
def test_around_pulls_each_weight_toward_the_center_of_its_name(network, by_name):
    centers = dict(network.named_parameters()) if by_name else network
    rules = Penalize({"*": L2(1), W1: L1(1)}).around(centers)
    assert rules.value(network) == 0
    moved = {name: p + 0.5 for name, p in network.named_parameters()}
    assert rules.value(moved).item() == pytest.approx(12 * 0.25 + 8 * 0.5)


def test_biases_that_are_penalized_have_centers_too(network):
    rules = Penalize({"*": L2(1)}, biases=True).around(network)
    assert list(rules.assign(network)) == [W0, B0, W1, B1]


def test_centers_stay_where_they_were_when_the_network_moves_on(network):
    rules = Penalize({"*": L2(1)}).around(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    assert rules.value(network).item() == pytest.approx(20)


def test_a_penalize_says_what_it_does(network):
    rules = Penalize({"*": L2(0.5)})
    assert repr(rules) == "Penalize({'*': L2(alpha=0.5)})"
    assert repr(Penalize({}, biases=True)) == "Penalize({}, biases=True)"
    assert repr(rules.around(network)) == "Penalize({'*': L2(alpha=0.5)}).around(...)"


def test_a_penalty_alone_reaches_all_weights_and_none_reaches_nothing(network):
    rules = Penalize({W0: L1(1)})
    assert as_penalize(rules) is rules
    assert as_penalize(L2(1)).assign(network) == {W0: L2(1), W1: L2(1)}
    assert as_penalize(None).assign(network) == {}


def test_a_pattern_that_matches_nothing_lists_the_names(network):
    expected = f"Pattern 'conv.*' matches no parameter. There are: {W0}, {W1}."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        Penalize({"*": L2(1), "conv.*": L1(1)}).assign(network)


def test_the_names_listed_are_those_a_pattern_may_match(network):
    expected = f"There are: {W0}, {B0}, {W1}, {B1}."
    with pytest.raises(ValueError, match=re.escape(expected)):
        Penalize({"conv.*": L1(1)}, biases=True).assign(network)


def test_a_pattern_that_matches_only_biases_says_how_to_penalize_them(network):
    expected = (
        "Pattern '*.bias' matches only biases and other parameters with fewer than two dimensions,"
        " which are left out; pass biases=True to penalize them."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        Penalize({"*.bias": L1(1)}).value(network)


@pytest.mark.parametrize(("given", "missing"), [([W0], W1), ([], f"{W0}, {W1}")])
def test_missing_centers_are_named(network, given, missing):
    weights = dict(network.named_parameters())
    rules = Penalize({"*": L2(1)}).around({name: weights[name] for name in given})
    expected = f"around(...) has no center for {missing}."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        rules.assign(network)


EXPECTED = "Penalize needs {name pattern: penalty}, for example {'*': L2(1e-4)}"


@pytest.mark.parametrize(
    ("rules", "got"),
    [
        (L2(1), "L2(alpha=1)"),
        ("*", "'*'"),
        ({"*": 0.1}, "'*': 0.1"),
        ({0: L2(1)}, "0: L2(alpha=1)"),
    ],
)
def test_rules_that_are_no_patterns_with_penalties_are_refused(rules, got):
    with pytest.raises(TypeError, match=f"^{re.escape(f'{EXPECTED}; got {got}.')}$"):
        Penalize(rules)


@pytest.mark.parametrize("penalty", [0.1, "L2", {"*": L2(1)}, L2])
def test_what_is_no_penalty_is_refused(penalty):
    expected = (
        f"penalty must be a Penalty, a Penalize or None; got {type(penalty).__name__}."
        " For L2 with alpha 0.01, pass L2(0.01)."
    )
    with pytest.raises(TypeError, match=f"^{re.escape(expected)}$"):
        as_penalize(penalty)
