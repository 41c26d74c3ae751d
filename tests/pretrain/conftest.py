"""What tests of pretraining share."""

from __future__ import annotations

import pytest

from seglab.models.spec import SPECS
from seglab.pretrain.learner import Learner
from tests.pretrain.small_learner import SMALL, small_learner


@pytest.fixture
def learner(monkeypatch: pytest.MonkeyPatch) -> Learner:
    """A small one; within the test `SPECS` knows its network."""
    monkeypatch.setitem(SPECS, "small", SMALL)
    return small_learner()
