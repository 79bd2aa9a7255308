"""What many replays have in common, when names and reasons are anything."""

from __future__ import annotations

from tachograph.cli.replay_many import Summary, Verdict, _as_summary

LONG = "x" * 10_000


def test_groups_that_look_the_same_are_one_and_none_is_endless():
    verdicts = [
        Verdict(f"{number}", "a", "changed", kind="ARGS", name=f"{LONG}{number}", where=f"{LONG}:9")
        for number in range(3)
    ]
    verdicts += [Verdict("u", "a", "changed", kind="ARGS", name="\x1b[31mlook\n up")]
    verdicts += [Verdict("v", "a", "changed", kind="ARGS", name="\u241b[31mlook up")]
    verdicts += [Verdict(f"r{each}", "a", "not_replayable", reason=LONG + each) for each in "ab"]
    groups = _as_summary(Summary(len(verdicts), verdicts))["groups"]
    assert [(each["state"], each["runs"]) for each in groups] == [
        ("changed", 3),
        ("changed", 2),
        ("not_replayable", 2),
    ]
    assert max(len(each["said"]) for each in groups) <= 300
    assert groups[1]["said"] == "ARGS \u241b[31mlook up"
