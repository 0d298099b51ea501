"""A memory engine whose reads take virtual time, so that a virtual loop can be busy."""

from kvnode.storage.memory_engine import MemoryEngine, MemoryView

GET_S = 20e-6
ROW_S = 0.5e-6


class BusyEngine(MemoryEngine):
    """Burns time of `loop` for what the event loop reads; writes belong to another thread."""

    def __init__(self, loop, *, get_s=GET_S, row_s=ROW_S):
        super().__init__()
        self.loop, self.get_s, self.row_s = loop, get_s, row_s

    def snapshot(self):
        return BusyView(self)


class BusyView(MemoryView):
    def __init__(self, engine):
        super().__init__(engine._tables, engine.key_bytes_max)
        self.engine = engine

    def get(self, table, key):
        self.engine.loop.burn(self.engine.get_s)
        return super().get(table, key)

    def get_many(self, table, keys):
        self.engine.loop.burn(self.engine.get_s + len(keys) * self.engine.row_s)
        return super().get_many(table, keys)

    def rows_from(self, table, start):
        for row in super().rows_from(table, start):
            self.engine.loop.burn(self.engine.row_s)
            yield row

    def rows_before(self, table, end):
        for row in super().rows_before(table, end):
            self.engine.loop.burn(self.engine.row_s)
            yield row
