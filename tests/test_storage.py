"""A long run survives a kill, and no damaged or foreign chunk is ever used."""

import re
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from smallweights import (
    L1,
    L2,
    MLP,
    Penalize,
    Training,
    ensemble,
    fit_many,
    linear_teacher,
    split,
    storage,
)

CPU = torch.device("cpu")
DATA = split(linear_teacher(60, features=4), train=40, validation=10)
TRAINING = Training(steps=4, record=2)


def network(seed):
    return MLP((4, 3, 1), seed=seed)


def run(model=network, data=DATA, family=L2, training=TRAINING, seeds=(0, 1), **options):
    alphas = (1e-3, 1e-2)
    penalties = {a: family(a) for a in alphas}
    return fit_many(model, data, penalties, training, seeds=seeds, device="cpu", chunk=2, **options)


def assert_identical(one, other):
    pd.testing.assert_frame_equal(one.history, other.history, check_exact=True)
    pd.testing.assert_frame_equal(one.replicas, other.replicas, check_exact=True)
    for ours, theirs in ((one.weights, other.weights), (one.best_weights, other.best_weights)):
        assert list(ours) == list(theirs)
        assert all(bits(ours[name]) == bits(theirs[name]) for name in ours)


def bits(tensor):
    return tensor.numpy().tobytes()  # unlike torch.equal, the same for NaN


def chunk(**changes):
    grid = ensemble._grid(DATA, {"a": L2(0.1), "b": L2(0.2)}, [1e-3], [0])
    return replace(grid.chunk(network, [0, 1], TRAINING), **changes)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("chunks") / "one.safetensors"
    storage.write(path, ensemble.train_chunk(chunk(), CPU), "f" * 64)
    return path


class TestGoingOn:
    def test_a_folder_changes_no_bit(self, tmp_path):
        assert_identical(run(folder=tmp_path), run())

    def test_a_finished_run_is_read_and_not_trained_again(self, tmp_path, monkeypatch):
        first = run(folder=tmp_path)
        monkeypatch.setattr(ensemble, "train_chunk", None)
        assert_identical(run(folder=tmp_path), first)

    def test_only_the_missing_chunks_are_trained(self, tmp_path, monkeypatch):
        first, trained = run(folder=tmp_path), []
        (tmp_path / "chunk-00001.safetensors").unlink()
        real = ensemble.train_chunk
        monkeypatch.setattr(
            ensemble, "train_chunk", lambda c, place: trained.append(c.seeds) or real(c, place)
        )
        assert_identical(run(folder=tmp_path), first)
        assert trained == [[1, 1]]

    def test_the_bar_of_a_run_that_goes_on_counts_what_is_there(self, tmp_path, capsys):
        run(folder=tmp_path)
        (tmp_path / "chunk-00001.safetensors").unlink()
        run(folder=tmp_path, progress=True)
        assert re.search(r"2/2 \[.*[\d?]chunk/s", capsys.readouterr().err)

    def test_a_half_written_file_is_written_anew(self, tmp_path):
        (tmp_path / "chunk-00000.safetensors.part").write_bytes(b"half a chu")
        assert_identical(run(folder=tmp_path), run())
        assert not list(tmp_path.glob("*.part"))

    def test_more_seeds_go_on_from_the_seeds_that_are_there(self, tmp_path):
        run(folder=tmp_path, seeds=(0, 1))
        assert_identical(run(folder=tmp_path, seeds=(0, 1, 2)), run(seeds=(0, 1, 2)))

    def test_replicas_that_diverged_are_kept_as_such(self, tmp_path):
        wild = Training(steps=400, lr=1e6, optimizer="sgd", record=100)
        first = run(training=wild, folder=tmp_path)
        assert len(first.diverged) == 4
        assert_identical(run(training=wild, folder=tmp_path), first)

    def test_a_backend_without_generators_gives_the_same(self, tmp_path, monkeypatch):
        from joblib.parallel import ThreadingBackend

        monkeypatch.setattr(ThreadingBackend, "supports_return_generator", False)
        assert_identical(run(folder=tmp_path, jobs=2), run())
        assert len(list(tmp_path.iterdir())) == 2


KILLS = """
import os, pathlib, signal, sys, time
import torch
from smallweights import L2, MLP, Training, fit_many, linear_teacher, split

folder = pathlib.Path(sys.argv[1])
data = split(linear_teacher(60, features=4), train=40, validation=10)


def run():
    fit_many(
        lambda seed: MLP((4, 3, 1), seed=seed), data, {a: L2(a) for a in (1e-3, 1e-2)},
        Training(steps=200, record=50), seeds=range(16), device="cpu", chunk=2, jobs=1,
        folder=folder,
    )


Training().make_optimizer([torch.zeros(1, requires_grad=True)])  # the first one imports much
for count in (1, 3, 6):
    child = os.fork()  # a process of its own without a second import of PyTorch
    if child == 0:
        run()
        os._exit(0)
    while len(list(folder.glob("*.safetensors"))) < count:
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""


def test_a_run_killed_again_and_again_ends_bit_identical(tmp_path):
    subprocess.run([sys.executable, "-c", KILLS, str(tmp_path)], check=True, timeout=120)
    assert 6 <= len(list(tmp_path.glob("*.safetensors"))) < 16
    options = {"training": Training(steps=200, record=50), "seeds": range(16)}
    assert_identical(run(folder=tmp_path, **options), run(**options))


class TestDamage:
    @given(data=st.data())
    @settings(max_examples=200, deadline=None)
    def test_every_flipped_bit_is_refused(self, file, data):
        blob = bytearray(file.read_bytes())
        place = data.draw(st.integers(0, len(blob) - 1))
        blob[place] ^= 1 << data.draw(st.integers(0, 7))
        damaged = file.with_name("damaged.safetensors")
        damaged.write_bytes(blob)
        with pytest.raises(ValueError, match=r"damaged\.safetensors is damaged"):
            storage.read(damaged, "f" * 64)

    @given(data=st.data())
    @settings(max_examples=50, deadline=None)
    def test_every_truncated_file_is_refused(self, file, data):
        blob = file.read_bytes()
        short = file.with_name("short.safetensors")
        short.write_bytes(blob[: data.draw(st.integers(0, len(blob) - 1))])
        with pytest.raises(ValueError, match=r"short\.safetensors is damaged"):
            storage.read(short, "f" * 64)

    def test_a_run_names_the_damaged_file_and_says_what_to_do(self, tmp_path):
        run(folder=tmp_path)
        path = tmp_path / "chunk-00001.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(ValueError, match=r"chunk-00001\.safetensors is damaged.*Delete this"):
            run(folder=tmp_path)


class Wrapped(nn.Module):
    """A network whose computation is in its code alone."""

    def __init__(self, seed):
        super().__init__()
        self.net = MLP((4, 3, 1), seed=seed)

    def forward(self, x):
        return self.net(x)


FOREIGN = {
    "start weights": {"model": lambda seed: network(seed + 1)},
    "activation": {"model": lambda seed: MLP((4, 3, 1), "tanh", seed=seed)},
    "data": {"data": split(linear_teacher(60, features=4), train=40, validation=10, seed=1)},
    "penalty": {"family": L1},
    "penalized weights": {"family": lambda a: Penalize({"layers.0.*": L2(a)})},
    "center": {"family": lambda a: Penalize({"*": L2(a)}).around(network(5))},
    "seeds": {"seeds": (0, 7)},
    "learning rate": {"lr": [1e-2]},
    "steps": {"training": Training(steps=5, record=2)},
}


class TestForeign:
    @pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN)
    def test_another_run_is_refused_by_name(self, tmp_path, change):
        run(folder=tmp_path)
        with pytest.raises(ValueError, match=r"chunk-0000.\.safetensors belongs to another run"):
            run(folder=tmp_path, **change)

    def test_a_chunk_in_the_wrong_place_is_refused(self, tmp_path):
        run(folder=tmp_path)
        (tmp_path / "chunk-00000.safetensors").rename(tmp_path / "chunk-00001.safetensors")
        with pytest.raises(ValueError, match=r"chunk-00001.* belongs to another run"):
            run(folder=tmp_path)

    def test_a_network_whose_code_changed_is_refused(self, tmp_path, monkeypatch):
        run(model=Wrapped, folder=tmp_path)
        monkeypatch.setattr(Wrapped, "forward", lambda self, x: self.net(x).tanh())
        with pytest.raises(ValueError, match=r"chunk-00000.* holds another network"):
            run(model=Wrapped, folder=tmp_path)

    def test_another_version_of_torch_is_refused(self, tmp_path, monkeypatch):
        run(folder=tmp_path)
        monkeypatch.setattr(torch, "__version__", "1.0")
        with pytest.raises(ValueError, match=r"made with .*here: .* torch 1\.0"):
            run(folder=tmp_path)

    def test_another_device_is_another_fingerprint(self):
        assert storage.fingerprint(chunk(), CPU) != storage.fingerprint(
            chunk(), torch.device("cuda")
        )

    def test_a_tensor_strength_enters_with_all_its_numbers(self):
        long = torch.ones(3, 4000)
        other = long.clone()
        other[1, 2000] = 2
        prints = [
            storage.fingerprint(chunk(penalties=[L2(t), L2(0.1)]), CPU) for t in (long, other)
        ]
        assert prints[0] != prints[1]

    def test_what_cannot_be_fingerprinted_is_an_error(self):
        with pytest.raises(TypeError, match=r"Cannot fingerprint .* of type set"):
            storage.fingerprint(chunk(seeds={1}), CPU)


def test_reading_gives_back_every_tensor_in_its_order(file):
    trained, again = ensemble.train_chunk(chunk(), CPU), storage.read(file, "f" * 64)
    for field in ("weights", "best", "scores"):
        one, other = getattr(trained, field), getattr(again, field)
        assert list(one) == list(other)
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(trained.best_step, again.best_step)
    assert torch.equal(trained.diverged_at, again.diverged_at)


def test_a_write_that_fails_leaves_no_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(storage.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        run(folder=tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_without_safetensors_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ImportError, match=r"pip install 'smallweights\[full\]'"):
        run(folder=tmp_path)
