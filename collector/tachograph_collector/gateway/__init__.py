"""The gateway: ClickHouse's HTTP protocol over the embedded engine, read-only and for the token's holder alone.

Dashboard, command line and any ClickHouse client read through it as they would from a server. A request goes
:mod:`.access` (host, token), :mod:`.request` (what is asked), :mod:`.guard` and :mod:`.session` (is it allowed,
with which settings), :mod:`.pool` (a session of the engine), :mod:`.execution` and :mod:`.stitch` (the result
piece by piece), :mod:`.answer`.

What it cannot do is confine SQL for good: :mod:`.guard` says how far the protection goes.
"""

from tachograph_collector.gateway.app import Gateway, create_gateway
from tachograph_collector.gateway.limits import Limits
from tachograph_collector.gateway.pool import EnginePool
from tachograph_collector.gateway.token import ensure_token

__all__ = ["EnginePool", "Gateway", "Limits", "create_gateway", "ensure_token"]
