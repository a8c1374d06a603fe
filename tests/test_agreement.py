"""A few hundred packets of what ``python -m tests.agreement`` compares by the thousand."""

from tests.agreement import CONTEXTS, MUTANTS, agree


def test_both_readers_agree_on_random_packets_and_on_mutants_of_them() -> None:
    whole, mutants = agree(300, seed=1)
    assert whole.total() == 330
    assert mutants.total() == 330 * MUTANTS
    for framing in ("single", "batch", "stream", "compact"):
        for context in CONTEXTS.values():
            assert any(
                told.startswith(f"the same, {framing}") and told.endswith(f", {context}") for told in whole
            )
    assert any("with names" in told for told in whole)
    assert any("mixed" in told and "in tiles" in told for told in whole)
    assert {told.split(",")[0] for told in whole} == {"the same"}
    assert {"the same", "refused by both"} <= {told.split(",")[0] for told in mutants}
