"""The three roles of the incident writer, and the forms in which two of them answer."""

from __future__ import annotations

from anthropic.types import ToolParam

PLANNER = """\
You are the planner. You get a task and a list of established facts. Divide the facts into two to four sections
of a short text for customers, in the order in which a reader wants to know them. Copy each fact word for word
into exactly one section. Answer with submit_plan."""

WRITER = """\
You are the writer. You get the title of a section, the facts that it must tell, and, when an earlier draft was
rejected, the feedback of the evaluator. Write the section as two to four plain sentences for customers. State
every fact, with its figures and times, and nothing that is not among the facts. Answer with the text alone,
without the title."""

EVALUATOR = """\
You are the evaluator. You did not write the draft and owe its writer nothing. Compare the draft with the facts:
every fact must be told, every figure and time must be the same, nothing may be added. If anything is missing or
different, reject the draft and say exactly what to change. Answer with submit_verdict."""

SUBMIT_PLAN: ToolParam = {
    "name": "submit_plan",
    "description": "Hand in the plan.",
    "input_schema": {
        "type": "object",
        "properties": {
            "sections": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "title": {"type": "string", "description": "Two to five words"},
                        "facts": {"type": "array", "items": {"type": "string"}},
                    },
                    "required": ["title", "facts"],
                },
            }
        },
        "required": ["sections"],
    },
}

SUBMIT_VERDICT: ToolParam = {
    "name": "submit_verdict",
    "description": "Hand in the verdict on a draft.",
    "input_schema": {
        "type": "object",
        "properties": {
            "passed": {"type": "boolean"},
            "feedback": {"type": "string", "description": "What to change; empty when passed"},
        },
        "required": ["passed", "feedback"],
    },
}
