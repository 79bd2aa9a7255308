"""A planner, a writer and an independent evaluator: each section is written until the evaluator passes it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import anthropic

import tachograph as tacho
from tachograph.demo.planner_prompts import EVALUATOR, PLANNER, SUBMIT_PLAN, SUBMIT_VERDICT, WRITER
from tachograph.demo.stage import Claude, Job, text_of, tool_call

MAX_SECTIONS = 4
MAX_TRIES = 3


@dataclass(slots=True)
class Brief(Job):
    """An incident to be explained to customers, and the facts that are established."""

    facts: list[str] = field(default_factory=list)


def job() -> Brief:
    """The brief on the desk."""
    return Brief(
        "INC-2207",
        "Explain the checkout outage of 14 March to the customers it hit, in plain words.",
        "Brightwater Retail",
        "elena.marsh@example.com",
        "incident-2207",
        facts=[
            "Checkout failed from 09:12 to 10:47 UTC on 14 March.",
            "A configuration change raised the payment timeout from 3 to 30 seconds and used up all workers.",
            "1,284 orders were not completed, and no card was charged twice.",
            "37 orders were paid but not confirmed; they were confirmed by 12:30 UTC the same day.",
            "Configuration changes of the payment service now need a second reviewer.",
            "An alarm on free workers now fires 10 minutes before they run out.",
        ],
    )


def play(claude: Claude, brief: Brief) -> str:
    """Write the text that ``brief`` asks for. Blocks until it is done."""
    with anthropic.Anthropic(**claude.options) as client:
        return IncidentWriter(client, claude.model).write(brief)


class IncidentWriter:
    """Three roles, three prompts. The one that writes never judges its own text."""

    def __init__(self, client: anthropic.Anthropic, model: str) -> None:
        self.client = client
        self.model = model

    @tacho.run(
        agent="incident-writer",
        version="1.1.0",
        goal=lambda given: given["brief"].task,
        customer=lambda given: given["brief"].customer,
        user=lambda given: given["brief"].user,
        session=lambda given: given["brief"].session,
        trigger=lambda given: f"incident {given['brief'].id}",
        tags=["demo", "writing"],
    )
    def write(self, brief: Brief) -> str:
        """Plan, then write section by section; stops when a section cannot be made right."""
        brief.run_id = tacho.current_run().id
        with tacho.budget(model_calls=2 + 2 * MAX_TRIES * MAX_SECTIONS, usd=0.5):
            sections = self.plan(brief)
            titles = [section["title"] for section in sections]
            texts = []
            for number, section in enumerate(sections, start=1):
                texts.append(f"{section['title']}\n\n{self.write_section(section)}")
                tacho.checkpoint(f"section {number}", done=titles[:number], todo=titles[number:])
        return "\n\n".join(texts)

    @tacho.agent(name="planner")
    def plan(self, brief: Brief) -> list[dict[str, Any]]:
        """Sections, each with a title and the facts that it must tell."""
        task = json.dumps({"task": brief.task, "facts": brief.facts}, ensure_ascii=False)
        submitted = self.ask(PLANNER, task, SUBMIT_PLAN)
        sections = [
            {"title": str(section["title"]), "facts": [str(fact) for fact in section["facts"]]}
            for section in submitted.get("sections", [])[:MAX_SECTIONS]
        ]
        if not tacho.validate("plan has sections", bool(sections), field="sections"):
            tacho.stop("no plan", "the planner returned no sections", needs="a plan")
        return sections

    @tacho.step
    def write_section(self, section: dict[str, Any]) -> str:
        """Write, have it judged, write again with the judgement, at most MAX_TRIES times."""
        with tacho.repair(f"section {section['title']}", max_attempts=MAX_TRIES - 1) as loop:
            draft = self.draft(section, feedback="")
            while (objection := self.judge(section, draft)) and loop.attempt(objection):
                draft = self.draft(section, feedback=objection)
            if objection:
                tacho.handoff("human editor", reason=objection, payload={"draft": draft})
                tacho.stop("tries used up", objection, needs=f"an editor for {section['title']}")
        return draft

    @tacho.agent(name="writer")
    def draft(self, section: dict[str, Any], feedback: str) -> str:
        """One draft of a section, streamed."""
        task = json.dumps({**section, "feedback": feedback}, ensure_ascii=False)
        with self.client.messages.stream(
            model=self.model,
            max_tokens=600,
            system=WRITER,
            messages=[{"role": "user", "content": task}],
        ) as stream:
            return text_of(stream.get_final_message()).strip()

    @tacho.agent(name="evaluator")
    def judge(self, section: dict[str, Any], draft: str) -> str:
        """What is wrong with ``draft``; empty when it passes. Sees the facts, not the writer's prompt."""
        task = json.dumps({"facts": section["facts"], "draft": draft}, ensure_ascii=False)
        verdict = self.ask(EVALUATOR, task, SUBMIT_VERDICT)
        passed = bool(verdict.get("passed"))
        objection = "" if passed else str(verdict.get("feedback") or "rejected without a reason")
        label = "pass" if passed else "fail"
        tacho.evaluate("section tells its facts", label=label, explanation=objection)
        tacho.validate("independent evaluation", passed, kind="verification", message=objection)
        return objection

    def ask(self, system: str, task: str, tool: Any) -> dict[str, Any]:
        """A structured answer: the input of ``tool``, which the model has to call."""
        answer = self.client.messages.create(
            model=self.model,
            max_tokens=1500,
            system=system,
            tools=[tool],
            tool_choice={"type": "tool", "name": tool["name"]},
            messages=[{"role": "user", "content": task}],
        )
        return dict(tool_call(answer).input)
