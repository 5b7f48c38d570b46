"""The playground: its arithmetic against ``fit``, its statistics against SciPy, its page in use."""

import html
import json
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import special, stats

from browser import violations
from smallweights import L1, L2, MLP, ElasticNet, Exponential, Penalize, Training, fit
from smallweights.data import split, two_moons
from smallweights.playground import Playground

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "code/smallweights/static/playground.js"
NOTEBOOK = ROOT / "book/playground.ipynb"
SITE = "http://playground.test"
PAGE = (
    '<!doctype html><html lang="en" data-theme="{theme}"><head><title>Playground</title>'
    '<meta name="viewport" content="width=device-width"></head>'
    "<body><main><h1>Playground</h1>{body}</main></body></html>"
)


def serve(page, body="", theme="light"):
    """Answer every request of the page by ourselves: its HTML, and the module to import."""
    text = PAGE.format(theme=theme, body=body)

    def answer(route):
        if route.request.url.endswith(".js"):
            route.fulfill(path=SCRIPT, content_type="text/javascript")
        else:
            route.fulfill(body=text, content_type="text/html; charset=utf-8")

    page.route("**/*", answer)


@pytest.fixture(scope="module")
def run(chromium):
    """Evaluates JavaScript that uses the module as ``core``; numbers pass as float64."""
    page = chromium.new_page()
    serve(page)
    page.goto(SITE)
    page.evaluate(f"async () => {{ window.core = await import('{SITE}/playground.js') }}")
    yield page.evaluate
    page.close()


# The arithmetic, with smallweights.fit as the oracle

ALPHA, STEPS = 0.05, (1, 2, 5, 12)
DATA = split(two_moons(40, seed=1), train=30, seed=1, dtype=torch.float64)
PENALTIES = {
    "none": None,
    "l1": L1(ALPHA),
    "l2": L2(ALPHA),
    "elastic": ElasticNet(0.3 * ALPHA, 0.7 * ALPHA),
    "exp": Exponential(ALPHA),
}
OPTIMIZERS = {
    "sgd": {"optimizer": "sgd"},
    "momentum": {"optimizer": "sgd", "momentum": 0.9},
    "adam": {"optimizer": "adam"},
}
SETTINGS = {
    "penalty": "l1", "alpha": ALPHA, "share": 0.3, "method": "penalty", "schedule": "constant",
    "turn": 4, "own": 0, "biases": 0, "layers": 2, "activation": "tanh", "optimizer": "sgd",
    "lr": 0.1, "batch": 0, "seeds": 1,
}  # fmt: skip

ADVANCE = """({params, train, heldOut, settings, steps}) => {
  const part = ({x, y}) => ({x: Float64Array.from(x.flat()), y});
  const state = core.begin(params.map((p) => Float64Array.from(p)));
  let trials = [{...state, seed: 0, train: part(train), heldOut: part(heldOut)}];
  const states = [trials];
  for (let step = 0; step < steps; step++) {
    trials = core.advance(trials, settings, step);
    states.push(trials);
  }
  return states.map((t, step) => ({
    params: t[0].params.map((p) => [...p]), row: core.summarize(t, settings, step)}));
}"""


def make_model(activation="tanh"):
    return MLP((2, 5, 3, 2), activation, seed=3, dtype=torch.float64)


def flat(model):
    return [p.detach().flatten().tolist() for p in model.parameters()]


def part(part):
    return {"x": part.x.tolist(), "y": part.y.tolist()}


def play(run, model, steps=STEPS[-1], **settings):
    """The states 0, 1, …, steps of the playground's training, from the model's weights."""
    given = {"params": flat(model), "train": part(DATA.train), "heldOut": part(DATA.test)}
    return run(ADVANCE, given | {"settings": SETTINGS | settings, "steps": steps})


def assert_same(parameters, model):
    for mine, theirs in zip(parameters, flat(model), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-9)
        assert np.array_equal(np.equal(mine, 0), np.equal(theirs, 0))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("method", ["penalty", "prox", "decay"])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_every_weight_after_every_step_is_that_of_fit(run, penalty, method, optimizer):
    model = make_model()
    states = play(run, model, penalty=penalty, method=method, optimizer=optimizer)
    for steps in STEPS:
        training = Training(steps=steps, lr=0.1, method=method, **OPTIMIZERS[optimizer])
        assert_same(states[steps]["params"], fit(model, DATA, PENALTIES[penalty], training).model)


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_every_activation_trains_as_in_fit(run, activation):
    model = make_model(activation)
    state = play(run, model, activation=activation)[-1]
    training = Training(steps=STEPS[-1], lr=0.1, optimizer="sgd")
    assert_same(state["params"], fit(model, DATA, L1(ALPHA), training).model)


@pytest.mark.parametrize("biases", [False, True])
def test_alphas_of_the_layers_and_penalized_biases_are_those_of_penalize(run, biases):
    model, alphas = make_model(), {"alpha1": 0.2, "alpha2": 0.01, "alpha3": 0.05}
    state = play(run, model, own=1, biases=int(biases), method="prox", **alphas)[-1]
    rules = {f"layers.{i}.*": L1(alpha) for i, alpha in enumerate(alphas.values())}
    training = Training(steps=STEPS[-1], lr=0.1, optimizer="sgd", method="prox")
    assert_same(state["params"], fit(model, DATA, Penalize(rules, biases=biases), training).model)


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [("warm", [0, 0.25, 0.5, 0.75, 1, 1, 1]), ("off", [1, 1, 1, 1, 0, 0, 0])],
)
def test_a_schedule_is_a_fit_of_one_step_after_another(run, schedule, factors):
    model = make_model()
    states = play(run, model, steps=len(factors), schedule=schedule, turn=4)
    for factor, state in zip(factors, states[1:], strict=True):
        training = Training(steps=1, lr=0.1, optimizer="sgd")
        model = fit(model, DATA, L1(factor * ALPHA), training).model
        assert_same(state["params"], model)


def test_mini_batches_train_as_in_fit(run):
    training = Training(steps=9, lr=0.1, optimizer="adam", method="prox", batch=8)
    rows = [order.tolist() for order in training.batches(len(DATA.train), seed=5)]
    result = run(
        """({params, x, y, rows, settings}) => {
          let state = core.begin(params.map((p) => Float64Array.from(p)));
          const how = {...settings, penalties: core.penaltiesAt(settings, 0), momentum: 0};
          for (const order of rows) {
            const batch = {x: Float64Array.from(order.flatMap((r) => x[r])),
                           y: order.map((r) => y[r])};
            state = core.update(state, batch, how);
          }
          return state.params.map((p) => [...p]);
        }""",
        {"params": flat(make_model()), **part(DATA.train), "rows": rows}
        | {"settings": SETTINGS | {"optimizer": "adam", "method": "prox"}},
    )
    assert_same(result, fit(make_model(), DATA, L1(ALPHA), training, seed=5).model)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_curves_show_the_history_of_fit(run, penalty):
    rows = [state["row"] for state in play(run, make_model(), penalty=penalty)]
    training = Training(steps=STEPS[-1], lr=0.1, optimizer="sgd", record=1)
    history = fit(make_model(), DATA, PENALTIES[penalty], training).history
    names = {
        "train": "train_loss", "heldOut": "test_loss", "trainError": "train_error",
        "heldOutError": "test_error", "penalty": "penalty_value", "norm": "norm",
    }  # fmt: skip
    for mine, theirs in names.items():
        np.testing.assert_allclose([row[mine] for row in rows], history[theirs], atol=1e-9)


def test_lambert_s_w_of_a_power_of_e_is_scipy_s(run):
    y = np.concatenate([np.linspace(-30, 30, 61), [100, 600]])
    mine = run("(y) => y.map(core.lambertOfExp)", y.tolist())
    np.testing.assert_allclose(mine, special.lambertw(np.exp(y)).real, rtol=1e-12)


@pytest.mark.parametrize("n", [4, 8, 16])
def test_the_band_is_student_s_interval_for_the_mean(run, n):
    values = np.random.default_rng(n).normal(size=n)
    mine = run("(values) => core.interval(values)", values.tolist())
    low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert [mine["mean"] - mine["half"], mine["mean"] + mine["half"]] == pytest.approx([low, high])


# Seeds and data

MAKE = "([shape, n, noise, seed]) => [...core.makeData(shape, n, noise, core.makeRandom(seed)).x]"


def make_data(run, shape, n=400, noise=0.0, seed=0):
    return np.reshape(run(MAKE, [shape, n, noise, seed]), (n, 2))


def test_the_moons_are_half_circles_of_radius_one(run):
    x = make_data(run, "moons")
    upper, lower = x[::2] - [-0.5, -0.25], x[1::2] - [0.5, 0.25]
    assert np.hypot(*upper.T) == pytest.approx(1)
    assert np.hypot(*lower.T) == pytest.approx(1)
    assert upper[:, 1].min() >= 0 >= lower[:, 1].max()


@pytest.mark.parametrize(
    ("shape", "rule"),
    [
        ("rings", lambda x: np.hypot(*x.T) > 0.9),
        ("xor", lambda x: x[:, 0] * x[:, 1] < 0),
        ("linear", lambda x: x.sum(1) < 0),
    ],
)
def test_without_noise_the_classes_follow_their_rule(run, shape, rule):
    assert np.array_equal(rule(make_data(run, shape)), np.arange(400) % 2 == 1)


def test_the_noise_is_normal_with_its_standard_deviation(run):
    noise = make_data(run, "moons", noise=0.3) - make_data(run, "moons")
    assert stats.kstest(noise.ravel() / 0.3, "norm").pvalue > 0.01


def test_a_seed_gives_the_same_data_and_another_seed_other_data(run):
    one, again, other = (make_data(run, "moons", seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.isclose(one, other).any()


def test_the_first_weights_are_uniform_up_to_one_over_the_root_of_the_fan_in(run):
    weight, bias, *_ = run(
        "() => core.initialize([4, 500, 2], core.makeRandom(0)).map((p) => [...p])"
    )
    for parameters in (weight, bias):
        assert stats.kstest(parameters, "uniform", (-0.5, 1)).pvalue > 0.01


def test_an_epoch_takes_each_example_once_and_skips_a_shorter_last_batch(run):
    rows = run("() => [0, 1, 2].map((step) => core.batchRows(14, 4, 0, step))")
    assert [len(batch) for batch in rows] == [4, 4, 4]
    assert len({row for batch in rows for row in batch}) == 12


def test_epochs_have_different_orders(run):
    first, second = run("() => [0, 1].map((step) => core.batchRows(50, 50, 0, step))")
    assert first != second
    assert sorted(first) == sorted(second)


# The page in use


@pytest.fixture
def show(chromium):
    """Opens a playground in a page of its own; anything on the console fails the test."""
    contexts, noise = [], []

    def opened(state="", theme="light", hash="", clock=False, **options):
        contexts.append(chromium.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: noise.append(message.text))
        page.on("pageerror", lambda error: noise.append(str(error)))
        if clock:
            page.clock.install()
        serve(page, Playground(state)._repr_mimebundle_()["text/html"], theme)
        page.goto(f"{SITE}/{hash}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert noise == []


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def number(page, pattern):
    """The number at the pattern's group in the sentence that tells the state."""
    return float(re.search(pattern, page.locator(".readout").text_content())[1])


def train(page, steps):
    press(page, "Play")
    page.wait_for_function(
        "(n) => Number(/Step (\\d+)/.exec(document.querySelector('.readout').textContent)[1]) >= n",
        arg=steps,
    )
    press(page, "Pause")


def address(page):
    return page.evaluate("location.hash")


def test_it_learns_two_moons_to_a_held_out_loss_below_a_quarter(show):
    page = show("penalty=l2&seeds=1&speed=50")
    assert number(page, r"held-out (\d+\.\d+)") > 0.6
    train(page, 500)
    assert number(page, r"held-out (\d+\.\d+)") < 0.25


def test_nothing_trains_until_asked(show):
    page = show(clock=True)
    page.clock.run_for(5000)
    assert number(page, r"Step (\d+)") == 0


def test_step_takes_one_step_and_reset_none(show):
    page = show()
    press(page, "Step")
    assert number(page, r"Step (\d+)") == 1
    press(page, "Reset")
    assert number(page, r"Step (\d+)") == 0


def test_the_cut_connections_are_the_exact_zeros(show):
    page = show("alpha=0.01&seeds=1&speed=50")
    train(page, 100)
    zeros = number(page, r"zero: (\d+)")
    assert zeros > 0
    assert page.locator(".diagram .cut").count() == zeros


def test_keys_alone_reach_and_move_every_control(show):
    page = show("own=1&schedule=off&penalty=elastic&layers=3")
    controls = page.locator(".sw-playground :is(button, input, select):visible").count()
    assert controls > 20
    reached = set()
    for _ in range(controls):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("(e => e.name || e.textContent)(document.activeElement)"))
    assert len(reached) == controls


def test_the_space_bar_plays_and_pauses(show):
    page = show("seeds=1")
    page.get_by_role("button", name="Play").focus()
    page.keyboard.press("Space")
    assert page.get_by_role("button", name="Pause").is_visible()
    page.keyboard.press("Space")
    assert page.get_by_role("button", name="Play").is_visible()


def test_an_arrow_key_moves_alpha_with_its_label_and_the_address(show):
    page = show()
    slider = page.get_by_role("slider", name="alpha", exact=True)
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "0.004 loss per weight"
    assert address(page) == "#alpha=0.004"


def test_a_change_of_the_penalty_goes_on_with_the_training_and_is_marked(show):
    page = show("seeds=1")
    press(page, "Step")
    page.get_by_label("penalty").select_option("elastic net")
    assert number(page, r"Step (\d+)") == 1
    assert page.locator(".chart .change").count() == 2  # one in each chart
    press(page, "Step")
    assert number(page, r"Step (\d+)") == 2


def test_a_change_of_the_data_starts_anew(show):
    page = show("seeds=1")
    press(page, "Step")
    page.get_by_label("data set").select_option("XOR")
    assert number(page, r"Step (\d+)") == 0


def test_the_address_sets_the_knobs_when_the_page_opens_and_later(show):
    page = show(hash="#penalty=l2&alpha=0.01")
    assert page.get_by_label("penalty").input_value() == "l2"
    page.evaluate("location.hash = 'penalty=exp'")
    page.wait_for_function("document.querySelector('select').value === 'exp'")
    assert (
        page.get_by_role("slider", name="alpha", exact=True).get_attribute("aria-valuetext")[:6]
        == "0.0025"
    )


def test_an_address_it_does_not_know_is_reported_with_what_there_is(show):
    page = show(hash="#data=spiral")
    assert page.get_by_role("alert").text_content() == (
        "The address asks for data=spiral; there are moons, rings, xor, linear."
    )


@pytest.mark.parametrize("text", ["", "penalty=exp&alpha=0.01&own=1", "data=xor&seed=7&batch=16"])
def test_an_address_read_and_written_is_the_same(run, text):
    assert run("(text) => core.writeState(core.readState(text).settings)", text) == text


def test_training_that_diverges_stops_and_says_what_to_do(show):
    page = show("penalty=exp&alpha=1&method=penalty&lr=1&seeds=1")
    press(page, "Play")
    page.get_by_text("Training diverged").wait_for()
    assert page.get_by_role("button", name="Play").is_visible()
    assert "Lower the learning rate or alpha" in page.get_by_role("alert").text_content()


def test_a_screen_reader_hears_the_state_at_most_every_five_seconds(show):
    page = show("seeds=1", clock=True, reduced_motion="reduce")
    page.evaluate(
        """() => { window.heard = 0; new MutationObserver(() => heard++)
          .observe(document.querySelector('[role=status]'), {childList: true}) }"""
    )
    press(page, "Play")
    page.clock.run_for(11_000)
    assert 1 <= page.evaluate("heard") <= 3
    press(page, "Pause")
    assert page.get_by_role("status").text_content().startswith("Paused. Step ")


@pytest.mark.parametrize(("motion", "least", "most"), [("reduce", 1, 2), ("no-preference", 10, 99)])
def test_readers_who_want_less_motion_get_a_still_picture_a_second(show, motion, least, most):
    page = show("seeds=1&speed=1", clock=True, reduced_motion=motion)
    page.evaluate(
        """() => { window.drawn = 0; new MutationObserver(() => drawn++)
          .observe(document.querySelector('.readout'), {childList: true}) }"""
    )
    press(page, "Play")
    page.clock.run_for(900)
    assert least <= page.evaluate("drawn") <= most


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(show, theme):
    page = show("own=1&schedule=off&penalty=elastic", theme=theme)
    press(page, "Step")
    assert violations(page) == []


def test_a_phone_scrolls_in_one_direction_only(show):
    page = show("own=1&schedule=off&penalty=elastic", viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_without_javascript_a_sentence_points_to_the_figure(show):
    page = show(java_script_enabled=False)
    assert "The figure below" in page.locator(".sw-playground").text_content()


def test_a_state_cannot_break_out_of_its_attribute(show):
    page = show('"><h2>injected</h2>')
    assert page.locator("h2").count() == 0


def test_the_package_brings_the_page_s_files_along():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["smallweights"]
    names = [f"static/{path.name}" for path in SCRIPT.parent.iterdir()]
    assert [n for n in names if not any(fnmatch(n, pattern) for pattern in patterns)] == []


# What the page tells the reader to watch

WATCH = """([text, stops, change]) => {
  let {settings} = core.readState(text), trials = core.startTrials(settings);
  const seen = [];
  for (let step = 0; step <= Math.max(...stops); step++) {
    if (stops.includes(step)) seen.push({...core.summarize(trials, settings, step),
      losses: trials.map((t) => core.scores(t.params, settings.activation, t.heldOut).loss)});
    if (step === stops[1]) settings = {...settings, ...change};
    trials = core.advance(trials, settings, step);
  }
  return seen;
}"""


def links():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    text = "".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return [html.unescape(link) for link in re.findall(r'href="#([^"]+)"', text)]


def rises(before, after):
    """Whether held-out loss is higher after, by the 95 % interval over the networks."""
    rise = np.subtract(after["losses"], before["losses"])
    low, high = stats.t.interval(0.95, len(rise) - 1, loc=rise.mean(), scale=stats.sem(rise))
    return 1 if low > 0 else -1 if high < 0 else 0


def test_the_page_s_links_set_knobs_that_there_are(run):
    assert len(links()) == 4
    for link in links():
        assert run("(text) => core.readState(text).problems", link) == []


def test_without_penalty_held_out_loss_rises_until_l2_is_switched_on(run):
    early, late, mended = run(WATCH, [links()[0], [200, 1000, 1400], {"penalty": "l2"}])
    assert late["train"] < early["train"]
    assert late["norm"] > early["norm"]
    assert rises(early, late) == 1
    assert rises(late, mended) == -1
    assert mended["norm"] < late["norm"]


def test_only_the_proximal_step_gives_exact_zeros(run):
    (prox,) = run(WATCH, [links()[1], [400], {}])
    (gradient,) = run(WATCH, [links()[2], [400], {}])
    assert prox["zero"] > prox["all"] / 2
    assert gradient["zero"] == 0


def test_a_penalty_that_is_switched_off_leaves_nothing_behind(run):
    before, after = run(WATCH, [links()[3], [300, 700], {}])
    assert before["zero"] > before["all"] / 2
    assert after["zero"] == 0
    assert after["norm"] > before["norm"]
