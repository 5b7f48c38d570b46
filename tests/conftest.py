"""What all tests share: one thread, hypothesis examples that are the same in every run, and groups.

A group runs on one worker: a file, or the tests of a page of the book, which visit it once.
"""

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("repeatable")


@pytest.hookimpl(tryfirst=True)  # before xdist looks for the groups
def pytest_collection_modifyitems(items):
    for item in items:
        page = getattr(item, "callspec", None) and item.callspec.params.get("page")
        item.add_marker(pytest.mark.xdist_group(page or item.path.name))
