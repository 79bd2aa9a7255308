"""How the tables are laid out, and for how long rows are kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """One machine or a cluster, and the retention."""

    cluster: str = ""
    retention_days: int = 30

    @property
    def quoted_cluster(self) -> str:
        """The cluster's name, safe between single quotes."""
        return self.cluster.replace("'", "").replace("\\", "")

    @property
    def on_cluster(self) -> str:
        """The clause that makes a statement run on every node; empty on one machine."""
        return f"ON CLUSTER '{self.quoted_cluster}'" if self.cluster else ""


ONE_MACHINE = Layout()
"""No cluster, 30 days."""
