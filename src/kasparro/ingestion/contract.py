"""Keeps a run to the contract of its source: what was kept out is told, also where no judge does."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kasparro.errors import KasparroError, StoreBusy
from kasparro.judge.contract import breach_findings
from kasparro.judge.drift import drift
from kasparro.judge.proposal import Naming, with_proposals
from kasparro.model.contract import Agreement, Breach, Word
from kasparro.model.profile import Profile, added
from kasparro.model.schema import Schema
from kasparro.store.watch import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """What a run is held to.

    Attributes:
        agreement: The words of the contract, and what is accepted.
        schema: The same schema, with what was seen.
        naming: Where the declaration names raw fields.
        watch: Takes findings.
    """

    agreement: Agreement
    schema: Schema
    naming: Naming
    watch: Watch

    def instead_of_freeze(self, word: Word) -> "Keeper":
        """Return the keeper of a run that does not fail by new things."""
        contract = self.agreement.contract.instead_of_freeze(word)
        return replace(self, agreement=replace(self.agreement, contract=contract))

    async def kept_out(self, run_id: int, breaches: Mapping[str, Breach], error: KasparroError | None) -> None:
        """Keep the findings of a run that is not judged.

        Args:
            run_id: The run.
            breaches: What the contract kept out of what was committed.
            error: What ended the run; where the contract did, what it did not take.
        """
        if isinstance(error, StoreBusy):
            return  # nothing can be kept now; a run that goes on is judged by all that was committed
        facts = {} if error is None else error.facts
        broken = {path: Breach.from_json(one) for path, one in facts.get("breaches", {}).items()}
        findings = breach_findings(added(breaches, broken))
        if "profile" in facts:  # of the batch that broke the contract: the rest of the run was not read
            seen = Profile.from_json(facts["profile"])
            findings += with_proposals(drift(self.schema, seen), self.naming, {*self.schema.fields, *seen.fields})
        if findings:
            await self.watch.found(self.agreement.source, run_id, findings)
