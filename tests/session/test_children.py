from __future__ import annotations

from dspy_session import with_memory
from tests.session.programs import Team
from tests.stub_lm import StubModel


def test_each_predictor_remembers_its_own_turns(stub: StubModel) -> None:
    team = with_memory(Team())
    team(question="one")
    team(question="two")

    draft = team.state.node_states["draft"]
    assert [turn.inputs for turn in draft.turns] == [{"question": "one"}, {"question": "two"}]
    assert [turn.outputs["text"] for turn in draft.turns] == ["one (after 0 messages)", "two (after 1 messages)"]
    assert [turn.index for turn in draft.turns] == [0, 1]
    assert [turn.inputs["text"] for turn in team.state.node_states["edit"].turns] == [
        turn.outputs["text"] for turn in draft.turns
    ]
