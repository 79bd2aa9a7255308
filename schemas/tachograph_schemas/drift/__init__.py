"""Drift across runs: when an agent's behaviour has changed, by how much, since when. Pure, without a store or a clock."""
