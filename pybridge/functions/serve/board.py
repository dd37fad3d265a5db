"""The board that master and replicas share: a row of numbers for each replica."""

from __future__ import annotations

import mmap

__all__ = ["Board", "Row"]

_ACTIVE, _CONNECTIONS, _STATE, _BEAT, _ACCEPTED = range(5)
_WIDTH = 8  # 64 bytes: a row is a cache line of its own
_FREE, _TAKEN, _SERVING = range(3)
_NANO = 10**9


class Row:
    """What one replica says of itself; only it writes here once it runs."""

    def __init__(self, board: Board, index: int) -> None:
        self.board = board
        self.index = index
        self._cells = board.cells[index * _WIDTH : (index + 1) * _WIDTH]

    @property
    def active(self) -> int:
        """Return how many requests are being worked on."""
        return self._cells[_ACTIVE]

    @active.setter
    def active(self, number: int) -> None:
        self._cells[_ACTIVE] = number

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return self._cells[_CONNECTIONS]

    @connections.setter
    def connections(self, number: int) -> None:
        self._cells[_CONNECTIONS] = number

    @property
    def load(self) -> tuple[int, int]:
        """Return by what it is compared: requests first, connections then."""
        return self._cells[_ACTIVE], self._cells[_CONNECTIONS]

    @property
    def beat(self) -> float:
        """Return when its loop last turned, on the monotonic clock; 0 before."""
        return self._cells[_BEAT] / _NANO

    @beat.setter
    def beat(self, seconds: float) -> None:
        self._cells[_BEAT] = int(seconds * _NANO)

    def accept(self) -> None:
        """Say that another connection has been taken."""
        self._cells[_ACCEPTED] += 1
        self._cells[_CONNECTIONS] += 1

    @property
    def serving(self) -> bool:
        """Return whether it takes connections."""
        return self._cells[_STATE] == _SERVING

    def serve(self) -> None:
        """Say that connections are taken from now on."""
        self._cells[_STATE] = _SERVING

    def retire(self) -> None:
        """Say that no connections are taken any more."""
        self._cells[_STATE] = _TAKEN

    def free(self) -> None:
        """Let another replica have the row."""
        self._cells[:] = memoryview(bytes(8 * _WIDTH)).cast("q")

    def outdone(self) -> bool:
        """Return whether another replica that takes connections has less to do."""
        load = self.load
        cells = self.board.cells
        for start in range(0, len(cells), _WIDTH):
            if (
                cells[start + _STATE] == _SERVING
                and (cells[start + _ACTIVE], cells[start + _CONNECTIONS]) < load
            ):
                return True
        return False


class Board:
    """Rows in memory that processes share from their fork on."""

    def __init__(self, rows: int) -> None:
        """Make so many free rows."""
        self._memory = mmap.mmap(-1, rows * _WIDTH * 8)
        self.cells = memoryview(self._memory).cast("q")
        self.rows = [Row(self, index) for index in range(rows)]

    def take(self) -> Row | None:
        """Return a row that was free, or None."""
        for row in self.rows:
            if self.cells[row.index * _WIDTH + _STATE] == _FREE:
                row.free()
                row.retire()
                return row
        return None

    @property
    def accepted(self) -> int:
        """Return how many connections have been taken by those that are there."""
        return sum(self.cells[_ACCEPTED::_WIDTH])

    def total(self) -> tuple[int, int]:
        """Return requests and connections of all."""
        cells = self.cells
        starts = range(0, len(cells), _WIDTH)
        return (
            sum(cells[start + _ACTIVE] for start in starts),
            sum(cells[start + _CONNECTIONS] for start in starts),
        )
