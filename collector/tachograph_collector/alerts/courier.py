"""Takes notifications out of the outbox and sends them, a few at a time."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from tachograph_collector.alerts import webhook
from tachograph_collector.alerts.apprise_process import AppriseProcess
from tachograph_collector.alerts.messages import TYPES
from tachograph_collector.alerts.network import BlockedError, Network
from tachograph_collector.alerts.outbox import Outbox, Parcel
from tachograph_collector.alerts.targets import Target, Targets
from tachograph_collector.alerts.webhook import UndeliveredError
from tachograph_collector.control.database import DatabaseError

logger = logging.getLogger(__name__)

_AT_ONCE = 4
_LOOK_EVERY_S = 1.0
_STOP_S = 15.0


class Courier:
    """A thread that claims, and a few that send. A fault is logged, and tried again."""

    def __init__(self, outbox: Outbox, targets: Targets, allowed: Sequence[Network]) -> None:
        self._outbox = outbox
        self._targets = targets
        self._allowed = allowed
        self._apprise = AppriseProcess(allowed)
        self._woken = threading.Event()
        self._stopping = False
        self._under_way = 0
        self._counting = threading.Lock()
        self._complained_s = -60.0
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to send. For any thread."""
        self._woken.set()

    def stop(self) -> None:
        """End after what is under way; waits for some seconds at most. What is left waits for the next start."""
        self._stopping = True
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)
        self._apprise.close()

    def _run(self) -> None:
        with ThreadPoolExecutor(_AT_ONCE, "courier") as pool:
            while not self._stopping:
                self._woken.clear()
                try:
                    parcels = self._outbox.claim(_AT_ONCE - self._under_way)
                except DatabaseError as error:
                    self._complain(error)
                    parcels = []
                for parcel in parcels:
                    with self._counting:
                        self._under_way += 1
                    pool.submit(self._deliver, parcel).add_done_callback(self._delivered)
                if not parcels:
                    self._apprise.rest()
                    self._woken.wait(_LOOK_EVERY_S)

    def _delivered(self, done: Future[None]) -> None:
        with self._counting:
            self._under_way -= 1
        self._woken.set()
        if (error := done.exception()) is not None:
            self._complain(error)

    def _complain(self, error: BaseException) -> None:
        now_s = time.monotonic()
        if now_s - self._complained_s >= 60:
            self._complained_s = now_s
            logger.warning("Notifications wait, because of the control database: %s", error)

    def _deliver(self, parcel: Parcel) -> None:
        target = self._targets.whole(parcel.target_id)
        if target is None:
            self._outbox.fail(parcel, "the target was removed", for_good=True)
            return
        try:
            said = self._sent(target, parcel)
        except BlockedError as error:
            self._outbox.fail(parcel, str(error), for_good=True)
        except UndeliveredError as error:
            self._outbox.fail(parcel, str(error), for_good=parcel.message["type"] == "test")
        except Exception as error:
            logger.exception("A notification could not be sent")
            self._outbox.fail(parcel, type(error).__name__, for_good=False)
        else:
            self._outbox.finish(parcel, said)

    def _sent(self, target: Target, parcel: Parcel) -> str:
        if target.kind == "webhook":
            body = json.dumps(parcel.message).encode()
            return webhook.post(target.url, target.secret, parcel.message_id, body, self._allowed)
        message = parcel.message
        kind = TYPES.get(str(message["level"]), "info") if message["type"] == "alert" else "info"
        self._apprise.send(target.url, str(message["title"]), str(message["text"]), kind)
        return "taken"
