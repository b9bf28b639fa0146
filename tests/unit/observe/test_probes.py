import pytest

from kraftd.health.programs.ladder import voter_answer
from tests.plans import plan_of
from tests.unit.health.views import quorum, voter

NODE = plan_of().nodes[1]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (None, "the quorum has no leader"),
        (quorum(None, voter(2)), "the quorum has no leader"),
        (quorum(1, voter(1)), "the quorum does not count it as a voter"),
        (quorum(1, voter(2, 5.1, 7)), "7 metadata records behind"),
        (quorum(1, voter(2, None, None)), "an unknown number of metadata records behind"),
    ],
)
def test_a_controller_that_is_no_caught_up_voter_does_not_serve(state, reason):
    answer = voter_answer(NODE, state)

    assert (answer.ready, answer.reason) == (False, reason)


@pytest.mark.parametrize("state", [quorum(1, voter(2, 5.0)), quorum(2, voter(2, None, None))])
def test_a_caught_up_voter_and_the_leader_itself_serve(state):
    assert voter_answer(NODE, state).ready
