"""What the blocks of the SDK share: ``async with`` does what ``with`` does."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class AsyncToo:
    """Something to enter. Entering and leaving never wait, so async code may do it as it is."""

    def __enter__(self) -> Self:
        raise NotImplementedError

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)
