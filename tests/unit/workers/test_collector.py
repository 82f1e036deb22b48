from __future__ import annotations

import gc

import pytest

from kafila.workers.collector import YOUNG, collector


def test_nothing_is_collected_while_the_process_loads_and_all_is_as_before_in_the_end() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    with collector() as cycles:
        assert not gc.isenabled()
        cycles.settle()
        assert gc.isenabled()
        assert gc.get_threshold()[0] == YOUNG
        assert gc.get_freeze_count() > 0
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


def test_cycles_are_collected_again_when_the_process_does_not_come_up() -> None:
    with pytest.raises(OSError, match="no"), collector():
        raise OSError("no")
    assert gc.isenabled()
