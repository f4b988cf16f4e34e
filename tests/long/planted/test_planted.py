"""Every planted fault has its place: `make planted` takes minutes, and a text that moved would be seen there only."""

import pytest
from plant import FAULTS, ROOT, Fault


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_text_of_a_planted_fault_stands_exactly_once(fault: Fault) -> None:
    for edit in fault.edits:
        edit.made_in(ROOT)
