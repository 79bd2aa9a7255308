"""Validation by pydantic, and the repair loop of instructor, against the real libraries."""

from __future__ import annotations

import asyncio
import json

import instructor
import openai
import pytest
from instructor.core import InstructorRetryException
from openai_server import OpenAIServer, completion
from pydantic import BaseModel, TypeAdapter, ValidationError, field_validator

import tachograph as tacho
from tachograph import _recorder
from tachograph.instruments import instructor as instructor_hook
from tachograph.instruments import openai as openai_hook
from tachograph.instruments import pydantic as pydantic_hook
from tachograph.instruments import tenacity as tenacity_hook
from tachograph_schemas import names


class Clause(BaseModel):
    number: int
    cap_usd: int

    @field_validator("cap_usd")
    @classmethod
    def _positive(cls, value):
        if value < 0:
            raise ValueError(f"{value} is negative")
        return value


class Contract(BaseModel):
    clauses: list[Clause]


BAD = {"clauses": [{"number": 1, "cap_usd": "$500,000"}, {"number": "x", "cap_usd": -5}]}
GOOD = {"clauses": [{"number": 1, "cap_usd": 500000}]}
HOOKS = [pydantic_hook, instructor_hook, openai_hook, tenacity_hook]


@tacho.run(agent="contracts")
def in_run(function, *args):
    return function(*args)


def test_a_refused_value_names_fields_and_rules_and_raises_the_same(spans):
    with pytest.raises(ValidationError) as recorded:
        in_run(Contract.model_validate, BAD)
    assert in_run(Contract.model_validate_json, json.dumps(GOOD)) == Contract.model_validate(GOOD)
    assert in_run(TypeAdapter(list[int]).validate_python, ["1"]) == [1]
    failed, passed, listed = spans.where(layer="validation")
    assert failed.attributes[names.VALIDATION_VERDICT] == "fail"
    assert failed.attributes[names.VALIDATION_CHECK] == "Contract"
    assert failed.attributes[names.VALIDATION_FIELD] == (
        "clauses.0.cap_usd, clauses.1.number, clauses.1.cap_usd"
    )
    assert failed.attributes[names.REASON] == (
        "3 errors: clauses.0.cap_usd: int_parsing; clauses.1.number: int_parsing; "
        "clauses.1.cap_usd: value_error"
    )
    assert [each["found"] for each in failed.input] == ["$500,000", "x", -5]
    assert passed.attributes[names.VALIDATION_VERDICT] == "pass"
    assert listed.attributes[names.VALIDATION_CHECK] == "list[int]"
    pydantic_hook.uninstall()
    with pytest.raises(ValidationError) as plain:
        in_run(Contract.model_validate, BAD)
    assert str(plain.value) == str(recorded.value)


@pytest.mark.parametrize("policy", ["none", "hash"])
def test_values_and_messages_obey_the_capture_policy(spans, monkeypatch, policy):
    recorder = _recorder.active()
    monkeypatch.setattr(recorder, "capture_policy", policy)
    with pytest.raises(ValidationError):
        in_run(Contract.model_validate, BAD)
    span = spans.one(layer="validation")
    assert "$500,000" not in repr(span)
    assert "is negative" not in repr(span)
    assert "clauses.0.cap_usd: int_parsing" in span.attributes[names.REASON]


def test_only_the_agent_s_own_validations_are_recorded(spans):
    Contract.model_validate(GOOD)
    in_run(json.loads, "{}")
    code = compile(
        "def check(model, data):\n    return model.model_validate(data)",
        "/x/site-packages/a.py",
        "exec",
    )
    library: dict = {}
    exec(code, library)
    in_run(library["check"], Contract, GOOD)
    assert spans.where(layer="validation") == []


def test_a_model_with_a_validate_of_its_own_keeps_it(spans):
    class Lenient(Contract):
        @classmethod
        def model_validate(cls, obj, **kwargs):
            return super().model_validate(GOOD, **kwargs)

    assert type(in_run(Lenient.model_validate, BAD)) is Lenient


def ask(server, *, retries=2, is_async=False):
    arguments = {
        "model": "gpt-5-mini",
        "response_model": Contract,
        "max_retries": retries,
        "messages": [{"role": "user", "content": "Read it."}],
    }
    mode = instructor.Mode.JSON
    if not is_async:
        with openai.OpenAI(api_key="k", base_url=server.url) as plain:
            client = instructor.from_openai(plain, mode=mode)
            return client.chat.completions.create(**arguments)

    async def main():
        async with openai.AsyncOpenAI(api_key="k", base_url=server.url) as plain:
            client = instructor.from_openai(plain, mode=mode)
            return await client.chat.completions.create(**arguments)

    return asyncio.run(main())


def answer(value):
    return completion({"content": json.dumps(value)})


@pytest.mark.parametrize("is_async", [False, True])
def test_a_repair_loop_is_told_as_one(spans, is_async):
    with OpenAIServer() as server:
        server.will_say(answer(BAD), answer(BAD), answer(GOOD))
        found = in_run(lambda: ask(server, is_async=is_async))
    assert found.clauses[0].cap_usd == 500000
    repair = spans.one(layer="repair")
    assert repair.attributes[names.REPAIR_OUTCOME] == "repaired"
    assert repair.attributes[names.REPAIR_ATTEMPT] == 2
    assert repair.attributes[names.REPAIR_MAX_ATTEMPTS] == 2
    assert "clauses.0.cap_usd" in repair.attributes[names.REPAIR_FEEDBACK]
    verdicts = [
        span.attributes[names.VALIDATION_VERDICT] for span in spans.where(layer="validation")
    ]
    assert verdicts == ["fail", "fail", "pass"]
    calls = spans.where(layer="model")
    assert [span.parent_id == repair.span_id for span in calls] == [False, True, True]
    assert spans.where(layer="retry") == []


def test_giving_up_raises_what_it_would(spans):
    with OpenAIServer() as server:
        server.will_say(answer(BAD))
        with pytest.raises(InstructorRetryException) as recorded:
            in_run(lambda: ask(server, retries=1))
        for hook in HOOKS:
            hook.uninstall()
        with pytest.raises(InstructorRetryException) as plain:
            in_run(lambda: ask(server, retries=1))
    repair = spans.one(layer="repair")
    assert repair.attributes[names.REPAIR_OUTCOME] == "gave_up"
    assert repair.attributes[names.REPAIR_ATTEMPT] == 1
    assert len(spans.where(layer="validation")) == 2
    assert recorded.value.n_attempts == plain.value.n_attempts == 2
    assert type(recorded.value.__cause__) is type(plain.value.__cause__)


def test_what_passes_at_once_is_no_repair(spans):
    with OpenAIServer() as server:
        server.will_say(answer(GOOD))
        in_run(lambda: ask(server))
    assert [span.layer for span in spans] == ["model", "validation", "run"]


def test_hooks_of_the_user_are_still_called(spans):
    heard = []
    with OpenAIServer() as server:
        server.will_say(answer(BAD), answer(GOOD))
        with openai.OpenAI(api_key="k", base_url=server.url) as plain:
            client = instructor.from_openai(plain, mode=instructor.Mode.JSON)
            client.on("parse:error", heard.append)
            in_run(
                lambda: client.chat.completions.create(
                    model="m",
                    response_model=Contract,
                    messages=[{"role": "user", "content": "Read it."}],
                )
            )
    assert [type(error) for error in heard] == [ValidationError]
    assert spans.one(layer="repair").attributes[names.REPAIR_OUTCOME] == "repaired"
