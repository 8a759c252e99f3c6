import pytest

from kasparro.faults.plan import ACTS, POINTS, SEAMS, STRIKES, Fault, planned


def test_a_seed_gives_one_plan() -> None:
    plan = planned(7, 200)
    assert plan == planned(7, 200)
    assert plan != planned(8, 200)
    assert {fault.point for fault in plan} == set(POINTS)
    assert {fault.act for fault in planned(7, 50, ["cut"])} == {"cut"}


@pytest.mark.parametrize("seed", range(20))
def test_no_act_comes_a_second_time_before_all_others_came(seed: int) -> None:
    acts = [fault.act for fault in planned(seed, 3 * len(ACTS))]
    for start in range(0, len(acts), len(ACTS)):
        assert sorted(acts[start : start + len(ACTS)]) == sorted(ACTS)


def test_strikes_may_have_company_of_the_acts_that_are_wanted() -> None:
    plan = planned(7, 400)
    assert {fault.beside for fault in plan if fault.act in STRIKES} == {None, *SEAMS}
    assert {fault.beside for fault in plan if fault.act in SEAMS} == {None}
    assert {fault.beside for fault in planned(7, 50, ["kill", "double"])} == {None, "double"}
    assert {fault.beside for fault in planned(7, 50, STRIKES)} == {None}


def test_a_fault_tells_what_is_needed_to_know_it() -> None:
    assert str(Fault(act="kill", point="copy", delay=0.25)) == "kill at copy, 0.25 s in"
    struck = Fault(act="cut", point="after", delay=0, beside="double", seed=4)
    assert str(struck) == "cut at after, 0.00 s in, beside double, dice 4"
    assert str(Fault(act="reorder", point="copy", delay=0, seed=9)) == "reorder, dice 9"
