"""The public test kit."""

from __future__ import annotations

import dataclasses

import tachograph as tacho
from tachograph.testing import FIRST_MOMENT_NS, STEP_NS, captured_spans


def work_once():
    with captured_spans(deterministic=True) as spans:

        @tacho.run(agent="clerk")
        def work(task):
            with tacho.step(name="file") as step:
                step.output({"run": tacho.current_run().id})
            tacho.checkpoint("filed", done=[tacho.current_run().id])

        work("file it")
    return list(spans)


def test_two_records_of_the_same_code_are_equal():
    """Ids, times and ids inside payloads; nothing that the clock or chance decides is left."""
    first, second = work_once(), work_once()
    volatile = {"tacho.run.code_version"}
    for span in [*first, *second]:
        for key in volatile & span.attributes.keys():
            del span.attributes[key]
    assert [dataclasses.asdict(span) for span in first] == [dataclasses.asdict(s) for s in second]


def test_ids_count_and_the_clock_steps():
    step, checkpoint, run = work_once()
    assert [run.span_id, step.span_id, checkpoint.span_id] == [
        f"{number:016x}" for number in (1, 2, 3)
    ]
    assert (step.parent_id, run.parent_id) == (run.span_id, None)
    assert run.trace_id == run.run_id == f"{1:032x}"
    assert step.output == {"run": run.run_id}
    moments = [run.start_time_ns, step.start_time_ns, step.end_time_ns]
    assert moments == [FIRST_MOMENT_NS + number * STEP_NS for number in range(3)]
    assert run.end_time_ns == FIRST_MOMENT_NS + 5 * STEP_NS


def test_without_asking_ids_and_times_are_the_real_ones():
    with captured_spans() as spans:
        tacho.gate("limit", allow=True)
    assert spans.one().span_id != f"{1:016x}"
    assert spans.one().start_time_ns > FIRST_MOMENT_NS
