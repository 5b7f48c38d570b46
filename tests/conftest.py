"""What all tests share: one thread, repeatable hypothesis examples, and a browser."""

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("repeatable")


@pytest.fixture(scope="module")
def chromium():
    from browser import browser

    with browser() as started:
        yield started
